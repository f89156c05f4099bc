// The spec reporter, and besides it a line of totals appended to the file that FILBERT_TEST_TOTALS names: .ci/run adds
// those lines up, a pending test counts as failed there.
const { appendFileSync } = require('node:fs');
const Mocha = require('mocha');

module.exports = class TotalsReporter extends Mocha.reporters.Spec {
  constructor(runner, options) {
    super(runner, options);
    runner.once(Mocha.Runner.constants.EVENT_RUN_END, () => {
      const file = process.env.FILBERT_TEST_TOTALS;
      if (file) appendFileSync(file, `${this.stats.passes} ${this.stats.failures + this.stats.pending}\n`);
    });
  }
};
