import assert from 'node:assert/strict';
import { execFile } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { createServer, type AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { freePort, runFilbert, type CommandResult } from '../support/node-process.ts';
import { waitFor } from '../support/wait-for.ts';
import { describeOnBothForms } from './support/forms.ts';

const ROOT = fileURLToPath(new URL('../..', import.meta.url));

/** Exit codes, as the README lists them. */
const OK = 0;
const FAILED = 1;
const USAGE = 64;
const UNAVAILABLE = 69;
const CONFIG = 78;

/** The objects of a `--json` output, one a line. */
function objects({ stdout }: CommandResult): Record<string, unknown>[] {
  return stdout
    .trimEnd()
    .split('\n')
    .filter((line) => line !== '')
    .map((line) => {
      const parsed: unknown = JSON.parse(line);
      assert.ok(typeof parsed === 'object' && parsed !== null);
      return { ...parsed };
    });
}

/** The sentences on stderr; log lines are JSON. */
function sentences({ stderr }: CommandResult): string[] {
  return stderr.split('\n').filter((line) => /^(filbert|error): /.test(line));
}

describeOnBothForms('the command line beside a running node', (net) => {
  const filbert = (...args: readonly string[]): Promise<CommandResult> =>
    runFilbert([...args, '--data', net.node.dataDir]);

  it('status tells who the node is and what it holds', async () => {
    await net.leaf();
    await net.ultrapeer();
    const [human, json] = await Promise.all([filbert('status'), filbert('status', '--json')]);
    assert.deepEqual([human.code, json.code, human.stderr, json.stderr], [OK, OK, '', '']);
    const [status] = objects(json);
    const facts = await net.facts();
    assert.equal(status?.['serventGuid'], facts.serventGuid);
    const edges = status['edges'] as { leaves: number; ultrapeers: number; listenAddress: string }[];
    assert.equal(edges.length, net.form.edges);
    assert.equal((status['shards'] as unknown[]).length, net.form.shards);
    assert.equal(
      edges.reduce((sum, edge) => sum + edge.leaves, 0),
      1,
    );
    assert.equal(
      edges.reduce((sum, edge) => sum + edge.ultrapeers, 0),
      1,
    );
    for (const edge of edges) assert.equal(edge.listenAddress, net.node.address);
    assert.match(human.stdout, new RegExp(`servent GUID +${facts.serventGuid}\n`));
    assert.match(human.stdout, new RegExp(`listening on +${net.node.address}\n`));
    assert.match(human.stdout, /^leaves +1 of 1000$/m);
    assert.match(human.stdout, /^ultrapeers +1 of 32$/m);
  });

  it('peers lists every link, whichever process holds it, and nothing that moves the cursor', async () => {
    const none = await filbert('peers');
    assert.deepEqual([none.code, none.stdout], [OK, 'no peers\n']);
    const leaf = await net.leaf({ headers: { 'User-Agent': 'Evil\x1b[2J/1.0' }, table: { words: ['yuzu'] } });
    const ultrapeer = await net.ultrapeer({ headers: { 'Listen-IP': '127.0.0.1:20031' } });
    await leaf.pingBarrier();
    const [human, json] = await Promise.all([filbert('peers'), filbert('peers', '--json')]);
    const links = objects(json);
    assert.deepEqual([human.code, json.code, links.length], [OK, OK, 2]);
    for (const [peer, kind] of [
      [leaf, 'leaf'],
      [ultrapeer, 'ultrapeer'],
    ] as const) {
      const link = links.find((one) => one['remoteAddress'] === `${peer.local.ip}:${peer.local.port}`);
      assert.equal(link?.['kind'], kind);
      assert.equal(link['edgeId'], (await net.linkOf(peer))?.edgeId);
      assert.match(human.stdout, new RegExp(`${kind} +${peer.local.ip}:${peer.local.port} +in `));
    }
    if (net.form.edges > 1) assert.notEqual(links[0]?.['edgeId'], links[1]?.['edgeId']);
    // eslint-disable-next-line no-control-regex -- control characters are what must not be there
    assert.doesNotMatch(human.stdout, /[\x00-\x09\x0b-\x1f\x7f]/);
    assert.equal(human.stdout.trimEnd().split('\n').length, 3);
  });

  it('connect dials, and tells why it will not', async () => {
    const server = await net.listen();
    const [good, bad, json] = await Promise.all([
      filbert('connect', server.address),
      filbert('connect', 'nonsense'),
      filbert('connect', '224.0.0.1:6346', '--json'),
    ]);
    assert.deepEqual([good.code, good.stdout, good.stderr], [OK, `linked to ${server.address}\n`, '']);
    assert.ok((await net.accept(server)).accepted);
    await net.linked();
    assert.equal(bad.code, USAGE);
    assert.equal(sentences(bad).length, 1);
    assert.match(bad.stderr, /nonsense/);
    assert.equal(json.code, FAILED);
    assert.equal(objects(json)[0]?.['accepted'], false);
  });

  it('connect tells how a dial failed, and does not wait where it is told so', async () => {
    const full = await net.listen({ statusLine: 'GNUTELLA/0.6 503 Too many \x1b[2J' });
    const closed = `127.0.0.1:${await freePort()}`;
    const silent = createServer((socket) => socket.on('error', () => undefined));
    await new Promise<void>((resolve) => silent.listen(0, '127.0.0.1', resolve));
    const { port } = silent.address() as AddressInfo;
    const [refused, unreachable, begun] = await Promise.all([
      filbert('connect', full.address),
      filbert('connect', closed, '--json'),
      filbert('connect', `127.0.0.1:${port}`, '--no-wait'),
    ]);
    silent.close();
    assert.equal(refused.code, FAILED);
    assert.match(refused.stderr, new RegExp(`^filbert: ${full.address} is not linked: it refused: 503 Too many`));
    // eslint-disable-next-line no-control-regex -- control characters are what must not be there
    assert.doesNotMatch(refused.stderr, /[\x00-\x09\x0b-\x1f\x7f]/);
    assert.equal(unreachable.code, FAILED);
    const [told] = objects(unreachable);
    assert.deepEqual([told?.['accepted'], told?.['outcome']], [true, 'failed']);
    assert.match(String(told?.['reason']), /ECONNREFUSED/);
    assert.equal(begun.code, OK);
    assert.match(begun.stdout, /^dialling 127\.0\.0\.1:\d+;/);
  });

  it('finds the node by --control too, and says so where none answers', async () => {
    const control = String(net.node.control()['control']);
    const away = await freePort();
    const empty = mkdtempSync(join(tmpdir(), 'filbert-test-'));
    const [found, silent, nowhere, wrong] = await Promise.all([
      runFilbert(['peers', '--control', control]),
      runFilbert(['peers', '--control', `127.0.0.1:${away}`]),
      runFilbert(['status', '--data', empty]),
      runFilbert(['status', '--control', 'nonsense']),
    ]);
    rmSync(empty, { recursive: true });
    assert.deepEqual([found.code, found.stdout], [OK, 'no peers\n']);
    const { dataDir } = net.node;
    const [asNode, misspelt] = await Promise.all([
      runFilbert(['peers', '--data', dataDir], { env: { FILBERT_CONTROL: '127.0.0.1:0', FILBERT_SHARD: '0' } }),
      runFilbert(['peers'], { env: { FILBERT_DATTA: dataDir } }),
    ]);
    assert.deepEqual([asNode.code, asNode.stdout], [OK, 'no peers\n'], 'the variables are those of the node itself');
    assert.equal(misspelt.code, UNAVAILABLE);
    assert.match(
      misspelt.stderr,
      /^warning: FILBERT_DATTA is not a known variable; did you mean FILBERT_DATA\?\nfilbert: no running node found/,
    );
    assert.deepEqual([silent.code, nowhere.code, wrong.code], [UNAVAILABLE, UNAVAILABLE, USAGE]);
    for (const result of [silent, nowhere, wrong]) assert.equal(sentences(result).length, 1, result.stderr);
    assert.match(silent.stderr, new RegExp(`127\\.0\\.0\\.1:${away} does not answer`));
    assert.match(nowhere.stderr, /no running node found/);
  });

  it('a second node on the same data folder is refused, and harms nothing', async () => {
    const leaf = await net.leaf();
    const args = ['up', '--listen', '127.0.0.1:0', '--admin', '127.0.0.1:0', '--seeds', 'none'];
    const second = await runFilbert([...args, '--data', net.node.dataDir]);
    assert.equal(second.code, FAILED);
    assert.equal(sentences(second).length, 1, second.stderr);
    assert.match(
      second.stderr,
      new RegExp(`a node runs on .* already \\(process ${net.node.pid}, .*${net.node.address}`),
    );
    await leaf.pingBarrier();
    assert.equal((await filbert('peers')).code, OK);
  });
});

describe('e2e: the command line by itself', () => {
  const folders: string[] = [];

  function folder(): string {
    const made = mkdtempSync(join(tmpdir(), 'filbert-test-'));
    folders.push(made);
    return made;
  }

  /** Tries to start a node that cannot start. */
  async function refusedUp(
    args: readonly string[],
    options: { data?: string; env?: Record<string, string> } = {},
  ): Promise<CommandResult> {
    const common = ['--admin', '127.0.0.1:0', '--seeds', 'none', '--data', options.data ?? folder()];
    const listen = args.includes('--listen') ? [] : ['--listen', '127.0.0.1:0'];
    return runFilbert(['up', ...common, ...listen, ...args], { env: options.env ?? {} });
  }

  const taken = createServer();

  after(() => {
    taken.close();
    for (const made of folders) rmSync(made, { recursive: true, force: true });
  });

  it('npx filbert runs in the checkout', async () => {
    const result = await new Promise<{ code: number; stdout: string }>((resolve) => {
      execFile('npx', ['filbert', '--version'], { cwd: ROOT, timeout: 15_000 }, (error, stdout) =>
        resolve({ code: error === null ? 0 : 1, stdout }),
      );
    });
    assert.equal(result.code, 0);
    assert.match(result.stdout, /^\d+\.\d+\.\d+\n$/);
  });

  it('ends with one clear sentence and its exit code where it cannot start', async () => {
    await new Promise<void>((resolve) => taken.listen(0, '127.0.0.1', resolve));
    const address = taken.address();
    assert.ok(typeof address === 'object' && address !== null);
    const port = `127.0.0.1:${address.port}`;
    const file = join(folder(), 'a-file');
    writeFileSync(file, 'not a folder');
    const broken = folder();
    writeFileSync(
      join(broken, 'bootstrap.sqlite'),
      'this is no database, and long enough to be looked at as one '.repeat(40),
    );
    const cases: readonly (readonly [run: () => Promise<CommandResult>, code: number, sentence: RegExp])[] = [
      [() => refusedUp(['--listen', port]), FAILED, /cannot listen on 127\.0\.0\.1:\d+: the address is in use/],
      [() => refusedUp(['--admin', port]), FAILED, /127\.0\.0\.1:\d+.*in use/],
      [() => refusedUp(['--control', port]), FAILED, /127\.0\.0\.1:\d+.*in use/],
      [() => refusedUp(['--listen', '192.0.2.1:6346']), FAILED, /this machine does not have the address/],
      [() => refusedUp([], { data: file }), FAILED, /a-file/],
      [() => refusedUp([], { data: '/proc/filbert/data' }), FAILED, /\/proc\/filbert\/data/],
      [() => refusedUp([], { data: broken }), FAILED, /bootstrap\.sqlite/],
      [() => refusedUp(['--bogus']), USAGE, /unknown option '--bogus'/],
      [() => refusedUp(['--listen', 'nonsense']), CONFIG, /--listen is "nonsense": it must be/],
      [() => refusedUp(['--max-leaves', '-3']), CONFIG, /--max-leaves is "-3": it must be a whole number/],
      [
        () => refusedUp([], { env: { FILBERT_MAX_LEAFS: '3' } }),
        CONFIG,
        /FILBERT_MAX_LEAFS is not a known variable; did you mean FILBERT_MAX_LEAVES/,
      ],
      [() => runFilbert(['frobnicate']), USAGE, /unknown command 'frobnicate'/],
      [() => runFilbert(['connect']), USAGE, /missing required argument/],
    ];
    // A few at a time, so that each gets the time that it has.
    const left = [...cases];
    const tryInTurn = async (): Promise<void> => {
      for (let next = left.shift(); next !== undefined; next = left.shift()) {
        const [run, code, sentence] = next;
        const result = await run();
        const said = sentences(result);
        assert.equal(said.length, 1, `${String(sentence)}: ${result.stdout}${result.stderr}`);
        assert.match(said[0] ?? '', sentence);
        assert.equal(result.code, code, said[0] ?? '');
      }
    };
    await Promise.all([tryInTurn(), tryInTurn(), tryInTurn()]);
  }).timeout(60_000);

  it('tells all problems of the settings at once', async () => {
    const [up, check, json, good] = await Promise.all([
      refusedUp(['--max-leaves', 'many', '--seeds', 'xx'], { env: { FILBERT_ROUTER_SHARDS: '0' } }),
      runFilbert(['config', 'check', '--max-leaves', 'many'], { env: { FILBERT_FOO: '1' } }),
      runFilbert(['config', 'check', '--max-leaves', 'many', '--json']),
      runFilbert(['config', 'check', '--json'], { env: { FILBERT_MAX_LEAVES: '7' } }),
    ]);
    assert.deepEqual([up.code, check.code, json.code, good.code], [CONFIG, CONFIG, CONFIG, OK]);
    assert.equal(sentences(up).length, 3, up.stderr);
    assert.equal(sentences(check).length, 2, check.stderr);
    const [verdict] = objects(json);
    assert.equal(verdict?.['ok'], false);
    assert.match(String(verdict['problems']), /--max-leaves is "many"/);
    assert.deepEqual(objects(good), [{ ok: true, problems: [], warnings: [] }]);
  });

  it('config print shows each value and where it comes from, flags before variables', async () => {
    const [json, human] = await Promise.all([
      runFilbert(['config', 'print', '--json', '--max-leaves', '9'], {
        env: { FILBERT_MAX_LEAVES: '7', FILBERT_MAX_ULTRAPEERS: '8' },
      }),
      runFilbert(['config', 'print'], { env: { FILBERT_CONTROL_TOKEN: 'a-secret-of-some-length' } }),
    ]);
    const rows = new Map(objects(json).map((row) => [row['flag'], row]));
    assert.deepEqual([rows.get('--max-leaves')?.['value'], rows.get('--max-leaves')?.['source']], ['9', 'flag']);
    assert.deepEqual([rows.get('--max-ultrapeers')?.['value'], rows.get('--max-ultrapeers')?.['source']], ['8', 'env']);
    assert.deepEqual([rows.get('--listen')?.['value'], rows.get('--listen')?.['source']], ['0.0.0.0:6346', 'default']);
    assert.equal(human.code, OK);
    assert.match(human.stdout, /^--max-leaves +1000 +default +FILBERT_MAX_LEAVES /m);
    assert.doesNotMatch(human.stdout, /a-secret-of-some-length/);
  });

  it('a node takes its settings from variables, and says in one line that it serves', async () => {
    const data = folder();
    const port = await freePort();
    const control = await freePort();
    const admin = await freePort();
    const running = runFilbert(['up'], {
      env: {
        FILBERT_LISTEN: `127.0.0.1:${port}`,
        FILBERT_ADMIN: `127.0.0.1:${admin}`,
        FILBERT_CONTROL: `127.0.0.1:${control}`,
        FILBERT_DATA: data,
        FILBERT_SEEDS: 'none',
        FILBERT_MAX_LEAVES: '11',
      },
      timeoutMs: 15_000,
    });
    await waitFor(
      '/readyz',
      async () => {
        const response = await fetch(`http://127.0.0.1:${admin}/readyz`).catch(() => undefined);
        return response?.status === 200;
      },
      10_000,
    );
    const status = await runFilbert(['status', '--control', `127.0.0.1:${control}`]);
    assert.match(status.stdout, /^leaves +0 of 11$/m);
    const written: unknown = JSON.parse(readFileSync(join(data, 'control.json'), 'utf8'));
    assert.ok(typeof written === 'object' && written !== null && 'pid' in written);
    process.kill(Number(written.pid), 'SIGTERM');
    const ended = await running;
    assert.equal(ended.code, OK);
    const serving = ended.stdout.split('\n').filter((line) => /serves/.test(line));
    assert.deepEqual(serving, [
      `Filbert serves Gnutella on 127.0.0.1:${port}; metrics and health on http://127.0.0.1:${admin}`,
    ]);
  });
});
