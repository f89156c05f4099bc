// Walks a folder as another user and prints what it came across: root cannot try what it is to be refused.
import { relative } from 'node:path';
import { systemFiles, walk } from '../../services/search-index/src/scan/walker.ts';

const [folder = '', user = ''] = process.argv.slice(2);
if (user !== '') process.setuid?.(Number(user));

const files: string[] = [];
const leftOut: string[] = [];
const { signal } = new AbortController();
for await (const event of walk([folder], { fs: systemFiles, descend: () => true, onEnter: () => undefined, signal })) {
  if (event.kind === 'files') files.push(...event.files.map(({ path }) => relative(folder, path)));
  if (event.kind === 'left-out') leftOut.push(`${relative(folder, event.path)} ${event.reason}`);
}
process.stdout.write(JSON.stringify({ files, leftOut }));
