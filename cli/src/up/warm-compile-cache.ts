// A process of its own: loads what the services are made of, has Node write what it compiled, and ends.
import { writeFileSync } from 'node:fs';
import { flushCompileCache } from 'node:module';
import { constants, setPriority } from 'node:os';
import { join } from 'node:path';
import { CACHE_IS_WARM } from './compile-cache.ts';

const [folder = ''] = process.argv.slice(2);
setPriority(constants.priority.PRIORITY_BELOW_NORMAL);
await Promise.all([
  import('@filbert/bootstrap'),
  import('@filbert/router'),
  import('@filbert/search-index'),
  import('@filbert/transfers'),
  import('@filbert/connections'),
]);
flushCompileCache();
writeFileSync(join(folder, CACHE_IS_WARM), `${process.version}\n`);
