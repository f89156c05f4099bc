import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { GENERATED_PAGES } from '../../scripts/docs/pages.ts';

describe('docs: generated pages', () => {
  for (const { path, text } of GENERATED_PAGES) {
    it(`${path} is what the sources say`, async () => {
      const written = readFileSync(new URL(`../../${path}`, import.meta.url), 'utf8');
      assert.equal(written, await text(), `${path} is out of date: run npm run docs`);
    });
  }
});
