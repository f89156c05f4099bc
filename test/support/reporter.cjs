// The spec reporter, and besides it a line of totals appended to the file that FILBERT_TEST_TOTALS names: .ci/run adds
// those lines up, a pending test counts as failed there. A run whose tests left something open would never end: it is
// ended here as failed, and told what is open.
const { appendFileSync } = require('node:fs');
const { ChildProcess } = require('node:child_process');
const { Server, Socket } = require('node:net');
const { setTimeout } = require('node:timers');
const Mocha = require('mocha');

/** How long what the last tests closed may take to be gone. */
const CLOSING_MS = 30_000;

function countUp(passed, failed) {
  const file = process.env.FILBERT_TEST_TOTALS;
  if (file) appendFileSync(file, `${passed} ${failed}\n`);
}

function describe(handle) {
  if (handle instanceof ChildProcess) return `process ${handle.pid}: ${handle.spawnargs.join(' ')}`;
  if (handle instanceof Server) return `server at ${JSON.stringify(handle.address())}`;
  if (handle instanceof Socket) {
    const { localAddress, localPort, remoteAddress, remotePort, destroyed } = handle;
    if (remoteAddress === undefined)
      return `socket or pipe, fd ${handle._handle?.fd}, ${destroyed ? 'destroyed' : 'open'}`;
    return `socket ${localAddress}:${localPort} to ${remoteAddress}:${remotePort}`;
  }
  return handle.constructor?.name ?? 'unknown';
}

function endWhatStaysOpen() {
  console.error(`\nThe tests left something open, ${CLOSING_MS / 1000} s after the last one:`);
  // Not documented, and the only way to more than kinds.
  for (const handle of process._getActiveHandles()) console.error(`  ${describe(handle)}`);
  console.error(`  resources: ${process.getActiveResourcesInfo().join(', ')}`);
  countUp(0, 1);
  process.exit(1);
}

module.exports = class TotalsReporter extends Mocha.reporters.Spec {
  constructor(runner, options) {
    super(runner, options);
    runner.once(Mocha.Runner.constants.EVENT_RUN_END, () => {
      countUp(this.stats.passes, this.stats.failures + this.stats.pending);
      setTimeout(endWhatStaysOpen, CLOSING_MS).unref();
    });
  }
};
