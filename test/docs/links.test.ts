import assert from 'node:assert/strict';
import { existsSync, globSync, readFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';

const root = fileURLToPath(new URL('../../', import.meta.url));
const pages = globSync('**/*.md', { cwd: root, exclude: (name) => /(^|\/)(node_modules|data|coverage)$/.test(name) });

/** A page without its code, in which nothing is a link. */
function prose(text: string): string {
  return text.replace(/^( *)```[\s\S]*?^\1```/gm, '').replace(/`[^`\n]*`/g, '');
}

/** The anchors of a page's headings, as GitHub makes them. */
function anchorsOf(text: string): Set<string> {
  const headings = text.replace(/^( *)```[\s\S]*?^\1```/gm, '').matchAll(/^#+ +(.+)$/gm);
  return new Set(
    Array.from(headings, ([, title = '']) =>
      title
        .toLowerCase()
        .replace(/[^\p{L}\p{N} _-]/gu, '')
        .replaceAll(' ', '-'),
    ),
  );
}

describe('docs: links', () => {
  it('finds the pages', () => assert.ok(pages.includes('README.md') && pages.includes(join('docs', 'limits.md'))));

  it('relative links name files and headings that exist', () => {
    const broken: string[] = [];
    for (const page of pages) {
      const text = readFileSync(root + page, 'utf8');
      for (const [, target = ''] of prose(text).matchAll(/\]\(([^)\s]+)\)/g)) {
        if (/^[a-z][a-z+.-]*:/i.test(target)) continue;
        const [path = '', anchor] = target.split('#');
        const file = path === '' ? root + page : join(root, dirname(page), path);
        if (!existsSync(file)) broken.push(`${page}: ${target}`);
        else if (anchor !== undefined && !anchorsOf(readFileSync(file, 'utf8')).has(anchor))
          broken.push(`${page}: ${target} (no such heading)`);
      }
    }
    assert.deepEqual(broken, []);
  });

  it('metrics of the supervisor, listed by hand, are those that it declares', () => {
    const listed = readFileSync(`${root}docs/metrics.md`, 'utf8').matchAll(/`filbert_supervisor_([a-z_]+)`/g);
    const source = readFileSync(`${root}cli/src/up/supervisor.ts`, 'utf8');
    const server = readFileSync(`${root}packages/kit/src/rpc/server.ts`, 'utf8');
    const declared = `${source}${server}`.matchAll(/metrics\.(?:gaugeFrom|counterFrom|durationsFrom)\(\s*'([a-z_]+)'/g);
    const names = (matches: Iterable<RegExpMatchArray>): string[] =>
      Array.from(matches, ([, name = '']) => name).sort();
    assert.deepEqual(names(listed), names(declared), 'correct scripts/docs/metrics-page.ts');
  });

  it('metrics that pages name are metrics that exist', () => {
    const known = readFileSync(`${root}docs/metrics.md`, 'utf8');
    const unknown: string[] = [];
    for (const page of pages) {
      for (const [name] of readFileSync(root + page, 'utf8').matchAll(
        /\bfilbert_(?:node|connections|router|bootstrap|supervisor)_[a-z_]*[a-z]\b/g,
      )) {
        // Each service that is a process of its own counts the events of its bus.
        if (!known.includes(`\`${name}\``) && !name.endsWith('_bus_events_total')) unknown.push(`${page}: ${name}`);
      }
    }
    assert.deepEqual(unknown, []);
  });
});
