import assert from 'node:assert/strict';
import { searchV1 } from '@filbert/contracts';
import { RpcError } from '@filbert/kit';
import { runFilbert } from '../support/node-process.ts';
import { interruptFilbert, scriptControl, streamOf, type ScriptedControl } from '../support/scripted-control.ts';
import { waitFor } from '../support/wait-for.ts';

const HASH = 'A'.repeat(32);
const OTHER = 'B'.repeat(32);
const { SearchEnd } = searchV1;

function hit(sha1: string, name: string, source: Partial<searchV1.Source>, sources = 1): searchV1.SearchResponse {
  return searchV1.SearchResponse.fromPartial({
    file: { sha1, name, size: 2048, sources },
    source: { name, size: 2048, servent: 'ab'.repeat(16), address: '192.0.2.1', port: 6346, vendor: 'FLBT', ...source },
  });
}

function endOf(end: searchV1.SearchEnd): searchV1.SearchResponse {
  return { file: undefined, source: undefined, end };
}

describe('filbert search', () => {
  let node: ScriptedControl;
  let asked: searchV1.SearchRequest[] = [];
  let answer: (signal: AbortSignal) => AsyncIterable<searchV1.SearchResponse>;
  before(async () => {
    node = await scriptControl({
      search: {
        search(request, { signal }) {
          asked.push(request);
          return answer(signal);
        },
      },
    });
  });
  beforeEach(() => (asked = []));
  after(() => node.stop());

  it('groups sources under their file, names a file again that gets more later, and says why it ended', async () => {
    answer = () =>
      streamOf([
        hit(HASH, 'blue song.mp3', { hops: 1 }),
        hit(OTHER, 'red song.mp3', { address: '', firewalled: true, hops: 2, vendor: '' }),
        hit(HASH, 'blue song.mp3', { address: '2001:db8::1', port: 7000, hops: 3, size: 4096, busy: true }, 2),
        hit('', 'green song.mp3', {}),
        endOf(SearchEnd.SEARCH_END_ENOUGH),
      ]);
    const { code, stdout, stderr } = await runFilbert(['search', 'some', 'song', '--control', node.address]);
    assert.deepEqual({ code, stderr }, { code: 0, stderr: '' });
    const servent = 'ab'.repeat(16);
    const lines = stdout.trimEnd().split('\n');
    assert.deepEqual(lines.slice(0, -1), [
      `1. blue song.mp3  2.0 KiB  urn:sha1:${HASH}`,
      `     192.0.2.1:6346  FLBT  ${servent}  1 hop`,
      `2. red song.mp3  2.0 KiB  urn:sha1:${OTHER}`,
      `     (no address)  -  ${servent}  2 hops  firewalled`,
      '1. blue song.mp3  2 sources',
      `     [2001:db8::1]:7000  FLBT  ${servent}  3 hops  busy  says 4.0 KiB`,
      '3. green song.mp3  2.0 KiB  no hash',
      `     192.0.2.1:6346  FLBT  ${servent}  0 hops`,
    ]);
    assert.match(lines.at(-1) ?? '', /^3 files from 4 sources in \d+s: that was enough$/);
    assert.deepEqual(asked, [{ query: 'some song', enough: 100, timeoutMs: 30_000 }]);
  });

  it('prints one JSON object a source, and passes on how long and how much', async () => {
    answer = () =>
      streamOf([
        hit(HASH, 'a.mp3', { hops: 2, index: 7, pushProxies: ['192.0.2.9:1'] }),
        hit('', 'b.mp3', { address: '', port: 0, firewalled: true }),
        endOf(SearchEnd.SEARCH_END_TIMEOUT),
      ]);
    const args = [
      'search',
      `urn:sha1:${HASH}`,
      '--json',
      '--timeout',
      '5s',
      '--enough',
      '3',
      '--control',
      node.address,
    ];
    const { code, stdout } = await runFilbert(args);
    assert.equal(code, 0);
    const objects = stdout
      .trimEnd()
      .split('\n')
      .map((line): unknown => JSON.parse(line));
    const common = { size: 2048, servent: 'ab'.repeat(16), vendor: 'FLBT', busy: false, fileSources: 1 };
    assert.deepEqual(objects, [
      {
        ...common,
        ...{ name: 'a.mp3', sha1: HASH, address: '192.0.2.1', port: 6346, firewalled: false, hops: 2, index: 7 },
        pushProxies: ['192.0.2.9:1'],
      },
      {
        ...common,
        ...{ name: 'b.mp3', sha1: null, address: null, port: 0, firewalled: true, hops: 0, index: 0, pushProxies: [] },
      },
    ]);
    assert.deepEqual(asked, [{ query: `urn:sha1:${HASH}`, enough: 3, timeoutMs: 5_000 }]);
  });

  it('prints nothing that moves the cursor or turns the line around, and keeps such names whole in JSON', async () => {
    const evil = 'a\x1b[2J\x9b1mb\u202egpj.exe\r\nfake line\u{e0041}';
    answer = () => streamOf([hit(HASH, evil, { vendor: '\x1b]0;' }), endOf(SearchEnd.SEARCH_END_ENOUGH)]);
    const human = await runFilbert(['search', 'name', '--control', node.address]);
    // eslint-disable-next-line no-control-regex -- control characters are what is looked for
    assert.doesNotMatch(human.stdout, /[\u0000-\u0009\u000b-\u001f\u007f-\u009f\u202e]/);
    assert.equal(human.stdout.trimEnd().split('\n').length, 3, human.stdout);
    const json = await runFilbert(['search', 'name', '--json', '--control', node.address]);
    assert.match(json.stdout, /^[\x20-\x7e]+\n$/);
    assert.equal((JSON.parse(json.stdout) as { name: string }).name, evil);
  });

  it('says so, and succeeds, where nothing is found', async () => {
    answer = () => streamOf([endOf(SearchEnd.SEARCH_END_TIMEOUT)]);
    const { code, stdout, stderr } = await runFilbert(['search', 'nothing', '--control', node.address]);
    assert.deepEqual({ code, stdout }, { code: 0, stdout: '' });
    assert.match(stderr, /^nothing found in \d+s: the time was up\n$/);
  });

  it('ends with what it has at Ctrl-C, and leaves the search in the node', async () => {
    let left = false;
    answer = (signal) => {
      signal.addEventListener('abort', () => (left = true));
      return streamOf([hit(HASH, 'a.mp3', {})], signal);
    };
    const { code, stdout } = await interruptFilbert(['search', 'name', '--control', node.address], 'a.mp3');
    assert.equal(code, 0);
    assert.match(stdout, /\n1 file from 1 source in \d+s: interrupted\n$/);
    await waitFor('the search to be left', () => left);
  });

  it('ends without a complaint when nobody reads its output any more', async () => {
    answer = async function* (signal) {
      for (let n = 0; !signal.aborted; n++) {
        yield hit('', `song ${n}.mp3`, {});
        await new Promise((resolve) => setImmediate(resolve));
      }
    };
    const args = ['search', 'song', '--control', node.address];
    const { code, stderr } = await interruptFilbert(args, 'song 3.mp3', 'closed pipe');
    assert.deepEqual({ code, stderr }, { code: 0, stderr: '' });
  });

  it('passes on why the node refuses', async () => {
    // eslint-disable-next-line require-yield, @typescript-eslint/require-await -- a stream that fails at once
    answer = async function* () {
      throw new RpcError('invalid-argument', 'a search needs a word of at least 3 letters');
    };
    const { code, stderr } = await runFilbert(['search', 'ab', '--control', node.address]);
    assert.equal(code, 1);
    assert.match(stderr, /^filbert: the node at .* refused: a search needs a word of at least 3 letters\n$/);
  });

  it('refuses options out of bounds before it calls', async () => {
    const { code, stderr } = await runFilbert(['search', 'name', '--timeout', 'soon', '--control', node.address]);
    assert.equal(code, 64);
    assert.match(stderr, /^filbert: --timeout is "soon": .*from 1s to 200s\n$/);
    assert.deepEqual(asked, []);
  });
});
