#!/usr/bin/env node
// `filbert` in the image: the command line, which knows where the services of its node are, and their token.
import { commandEnvironment, TOKEN_FILE } from './command-environment.ts';
import { readControlToken } from './control-token.ts';

/** Exit code of a service that cannot be reached (EX_UNAVAILABLE). */
const EXIT_UNAVAILABLE = 69;

const { env } = process;
let variables: Record<string, string> | undefined;
try {
  variables = commandEnvironment(env, (file) => readControlToken(file, { create: false }));
} catch (error) {
  const why = error instanceof Error ? error.message : String(error);
  process.stderr.write(`filbert: the control token cannot be read; bootstrap makes it on its first start: ${why}\n`);
  process.exitCode = EXIT_UNAVAILABLE;
}
if (variables !== undefined) {
  Reflect.deleteProperty(env, TOKEN_FILE);
  // These are about a node to be, in this container, and not about the one that runs.
  if (!['up', 'config'].includes(process.argv[2] ?? '')) Object.assign(env, variables);
  await import('../../cli/src/main.ts');
}
