import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { freePort } from '../support/node-process.ts';
import { waitFor } from '../support/wait-for.ts';
import { CloneFolder, type ShellCommand } from './support/shell.ts';
import { comparable, readTour, type TourStep } from './support/tour.ts';

const README = readFileSync(fileURLToPath(new URL('../../README.md', import.meta.url)), 'utf8');
/** Where the page says that the clone lies. */
const SHOWN_FOLDER = '/home/me/filbert';
/** Ports of the page; each is a free one here. */
const SHOWN_PORTS = [6346, 6347, 9346, 9347];
/** The command that names no addresses of its own. */
const START = 'npm start';
const STARTS_NODE = /^(npm start|npx filbert up )/;
const SERVES = /^Filbert serves /m;
/** What they show comes some seconds after what led to it, as the page says; they are asked again. */
const COMES_LATER = /^npx filbert (peers|share list|search) /;
const COMMAND_TIMEOUT_MS = 15_000;
const SETTLE_TIMEOUT_MS = 40_000;
/** What npm makes of an end by SIGINT. */
const INTERRUPTED = 130;

describe('docs: the tour of README.md', function () {
  this.timeout(60_000);
  const steps = readTour(README);
  const ports = new Map<string, string>();
  const shown = new Map<string, string>();
  const nodes: ShellCommand[] = [];
  let clone: CloneFolder;

  before(async () => {
    clone = new CloneFolder();
    shown.set(clone.path, SHOWN_FOLDER);
    for (const port of SHOWN_PORTS) {
      const free = await freePort();
      ports.set(`:${port}`, `:${free}`);
      shown.set(`:${free}`, `:${port}`);
    }
  });
  after(() => clone.remove());

  it('starts nodes, stops one, asks, links, searches, downloads and fetches', () => {
    const commands = steps.map(({ command }) => command).join('\n');
    for (const part of [START, 'Ctrl-C', 'up ', 'status', 'connect', 'search', 'download', 'curl', 'config check'])
      assert.ok(commands.includes(part), part);
  });

  for (const step of steps) {
    const { kind, command } = step;
    if (kind === 'interrupt') it('Ctrl-C: the node stops, and npm ends as the page says', interrupt);
    else if (STARTS_NODE.test(command)) it(`serves, having said what the page shows: ${command}`, () => start(step));
    else it(`prints what the page shows: ${command}`, () => compare(step));
  }

  it('Ctrl-C ends the nodes that it leaves running', async () => {
    assert.ok(nodes.length > 0);
    while (nodes.length > 0) await interrupted();
  });

  /** The command with the ports of this run. */
  function lineOf(command: string): string {
    let line = command;
    for (const [theirs, ours] of ports) line = line.replaceAll(theirs, ours);
    return line;
  }

  async function start({ command, printed }: TourStep): Promise<void> {
    const addresses = { FILBERT_LISTEN: lineOf('0.0.0.0:6346'), FILBERT_ADMIN: lineOf('127.0.0.1:9346') };
    const node = clone.run(lineOf(command), command === START ? addresses : {});
    nodes.push(node);
    await waitFor('the node to serve', () => node.ended || SERVES.test(node.output), COMMAND_TIMEOUT_MS);
    assert.ok(!node.ended, node.output);
    // One that the page shows nothing of is there for what follows.
    if (printed.length > 0) assert.deepEqual(comparable(node.output, shown), comparable(printed, shown));
  }

  async function compare({ command, printed }: TourStep): Promise<void> {
    const expected = comparable(printed, shown);
    const deadline = Date.now() + SETTLE_TIMEOUT_MS;
    for (;;) {
      const running = clone.run(lineOf(command));
      const { timedOut } = await running.end(COMMAND_TIMEOUT_MS);
      try {
        assert.deepEqual(comparable(running.output, shown), expected, timedOut ? 'it did not end' : undefined);
        return;
      } catch (cause) {
        if (!COMES_LATER.test(command) || Date.now() > deadline) throw cause;
      }
    }
  }

  async function interrupt(): Promise<void> {
    assert.match(README, new RegExp(`makes ${INTERRUPTED} of that`));
    assert.equal(await interrupted(), INTERRUPTED);
  }

  /** Ctrl-C for the node that was started last. @returns what the shell says of it */
  async function interrupted(): Promise<number> {
    const node = nodes.pop();
    assert.ok(node);
    node.signal('SIGINT');
    const { code, timedOut } = await node.end(COMMAND_TIMEOUT_MS);
    assert.ok(!timedOut, node.output);
    assert.match(node.output, /"code":0,"msg":"stopped"/);
    return code;
  }
});
