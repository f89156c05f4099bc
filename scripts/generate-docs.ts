// Writes the pages of docs/ that are made from the sources: settings and metrics. Run by `npm run docs`.
import { writeFileSync } from 'node:fs';
import { GENERATED_PAGES } from './docs/pages.ts';

for (const { path, text } of GENERATED_PAGES) {
  writeFileSync(new URL(`../${path}`, import.meta.url), await text());
  console.log(`wrote ${path}`);
}
