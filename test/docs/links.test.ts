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

  it('metrics that pages name are metrics that exist, with the labels and values that they have', () => {
    const rows = readFileSync(`${root}docs/metrics.md`, 'utf8').matchAll(/^\| `(filbert_\w+)` +\| \w+ +\|([^|]*)\|/gm);
    const labelsOf = new Map(Array.from(rows, ([, name = '', labels = '']) => [name, labels]));
    const unknown: string[] = [];
    let named = 0;
    for (const page of pages) {
      for (const [whole, service = '', noun = '', matchers = ''] of readFileSync(root + page, 'utf8').matchAll(
        /\bfilbert_(node|connections|router|bootstrap|search_index|transfers|supervisor)_(\w*[a-z0-9])(?:\{([^}]*)\})?/g,
      )) {
        named++;
        // Each service that is a process of its own has its own of these.
        const of = /^(?:bus_events_total|bus_request_seconds|rpc_call_seconds|spans_total)$/.test(noun)
          ? 'node'
          : service;
        const labels = labelsOf.get(`filbert_${of}_${noun}`);
        if (labels === undefined) unknown.push(`${page}: ${whole}`);
        for (const [, label = '', value = ''] of matchers.matchAll(/(\w+)="([^"]*)"/g)) {
          const known = labels?.split(';').find((part) => part.includes(`\`${label}\``)) ?? '';
          const values = known.slice(known.indexOf(':') + 1).split(',');
          if (!values.some((one) => one.trim() === value)) unknown.push(`${page}: ${whole}`);
        }
      }
    }
    assert.ok(named > 300, `only ${named} names were found`);
    assert.deepEqual(unknown, []);
  });
});
