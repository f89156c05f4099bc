// Generates packages/contracts/src/gen from proto/. Run by `npm ci` (prepare), so a clone needs nothing else.
import { spawnSync } from 'node:child_process';
import { rmSync } from 'node:fs';
import { fileURLToPath } from 'node:url';

const root = fileURLToPath(new URL('..', import.meta.url));
rmSync(new URL('../packages/contracts/src/gen', import.meta.url), { recursive: true, force: true });
const result = spawnSync('buf', ['generate'], { cwd: root, stdio: 'inherit' });
if (result.error) throw new Error('buf could not be started: is npm ci complete?', { cause: result.error });
process.exitCode = result.status ?? 1;
