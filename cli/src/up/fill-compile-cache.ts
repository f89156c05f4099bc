// A process of its own: loads what the services are made of, has Node write what it compiled, and ends.
import { writeFileSync } from 'node:fs';
import { flushCompileCache } from 'node:module';
import { join } from 'node:path';
import { cacheMark, MARK_FILE } from './compile-cache.ts';

const [folder = ''] = process.argv.slice(2);
await Promise.all([
  import('@filbert/bootstrap'),
  import('@filbert/router'),
  import('@filbert/search-index'),
  import('@filbert/transfers'),
  import('@filbert/connections'),
]);
flushCompileCache();
writeFileSync(join(folder, MARK_FILE), cacheMark());
