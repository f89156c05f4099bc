#!/usr/bin/env node
// Plain JavaScript on purpose: an old Node must get a sentence instead of a syntax error.
const major = Number(process.versions.node.split('.')[0]);
if (major < 24) {
  console.error(
    `filbert needs Node 24 and was started by ${process.version}. ` +
      'Run it as `npx filbert` inside the checkout: npm ci installs the right Node there.',
  );
  process.exitCode = 78;
} else {
  await import('../src/main.ts');
}
