import assert from 'node:assert/strict';
import { existsSync, globSync, readFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';

const root = fileURLToPath(new URL('../../', import.meta.url));
const page = readFileSync(`${root}docs/limits.md`, 'utf8');

interface Row {
  readonly name: string;
  readonly value: string;
  /** Relative to the root. */
  readonly file: string;
}

/** The folders whose limits the page lists. */
const folders = new Set(Array.from(page.matchAll(/^Files below are in `([^`]+)`/gm), ([, folder]) => folder));

/** The rows of the page; a line "Files below are in `…`" says where the files of what follows are. */
function listedLimits(): Row[] {
  const rows: Row[] = [];
  let folder = '';
  for (const line of page.split('\n')) {
    folder = /^Files below are in `([^`]+)`/.exec(line)?.[1] ?? folder;
    const cells = line.split('|').map((cell) => cell.trim());
    const name = /^`([A-Z][A-Z0-9_]*)`$/.exec(cells[1] ?? '')?.[1];
    if (name !== undefined) rows.push({ name, value: cells[2] ?? '', file: `${folder}/${cells[3] ?? ''}` });
  }
  return rows;
}

/** What stands to the right of a constant's `=`, or undefined where the file does not declare it. */
function expressionOf(name: string, source: string): string | undefined {
  return new RegExp(`^(?:export )?const ${name}\\b[^=\n]*= ([^;]+);`, 'm').exec(source)?.[1]?.replace(/\s+/g, ' ');
}

/** The value of a product of numbers and powers, as limits are written; undefined for anything else. */
function valueOf(expression: string): number | undefined {
  const factors = expression.replaceAll('**', '^').split('*');
  let product = 1;
  for (const factor of factors) {
    const powers = factor.split('^').map((part) => Number(part.trim().replaceAll('_', '') || Number.NaN));
    product *= powers.reduceRight((exponent, base) => base ** exponent);
  }
  return Number.isNaN(product) ? undefined : product;
}

const UNITS = new Map([
  ['KiB', 1024],
  ['MiB', 1024 ** 2],
  ['%', 0.01],
  ['ms', 1],
  ['s', 1000],
  ['min', 60_000],
  ['h', 3_600_000],
  ['d', 86_400_000],
]);

/** The number that a cell such as "64 KiB", "2.5 s" or "1,000 records" stands for. */
function numberIn(cell: string): number | undefined {
  const match = /^([\d,.]+)(?: (\S+))?/.exec(cell);
  if (match?.[1] === undefined) return undefined;
  return Number(match[1].replaceAll(',', '')) * (UNITS.get(match[2] ?? '') ?? 1);
}

describe('docs: limits.md', () => {
  const rows = listedLimits();

  it('lists limits', () => assert.ok(rows.length > 100, `only ${rows.length} rows were found`));

  it('names constants that exist, with their values', () => {
    const wrong: string[] = [];
    for (const { name, value, file } of rows) {
      const source = existsSync(root + file) ? readFileSync(root + file, 'utf8') : '';
      const expression = expressionOf(name, source);
      if (expression === undefined) {
        wrong.push(`${file} has no constant ${name}`);
        continue;
      }
      const number = valueOf(expression);
      const literal = /^`([^`]+)`/.exec(value)?.[1];
      const same =
        number === undefined
          ? literal !== undefined && expression.includes(literal)
          : Math.abs((numberIn(value) ?? Number.NaN) - number) < 1e-9 * Math.max(1, number);
      if (!same) wrong.push(`${name} in ${file} is ${expression}, the page says ${value}`);
    }
    assert.deepEqual(wrong, [], 'correct docs/limits.md');
  });

  it('covers the packages and every service that a node is made of', () => {
    const manifest = JSON.parse(readFileSync(`${root}cli/package.json`, 'utf8')) as { dependencies: object };
    const parts = Object.keys(manifest.dependencies).filter((name) => name.startsWith('@filbert/'));
    const missing = parts.filter((name) => {
      const part = name.slice('@filbert/'.length);
      return !folders.has(`packages/${part}/src`) && !folders.has(`services/${part}/src`);
    });
    assert.deepEqual(missing, [], 'add a section to docs/limits.md');
  });

  it('lists every limit of what it covers, exported or not', () => {
    const listed = new Set(rows.map(({ name, file }) => `${name} ${file}`));
    const missing: string[] = [];
    for (const path of globSync(['{packages,services}/*/src/**/*.ts', 'cli/src/**/*.ts'], { cwd: root })) {
      if (path.includes('/gen/') || ![...folders].some((folder) => path.startsWith(`${folder}/`))) continue;
      const source = readFileSync(root + path, 'utf8');
      for (const [, name = ''] of source.matchAll(/^(?:export )?const ([A-Z][A-Z0-9_]*)\b/gm)) {
        const limit = `${name} ${path}`;
        if (isLimit(name) && !listed.has(limit) && !NO_LIMITS.has(limit)) missing.push(limit);
      }
    }
    assert.deepEqual(missing, [], 'add them to docs/limits.md');
  });
});

/** Named like limits, and none: what a field or a timer can hold, bounds of settings, units, lengths of words. */
const NO_LIMITS: ReadonlySet<string> = new Set([
  'EPOCH_LIMIT packages/kit/src/clock/epoch.ts',
  'FOR_EVER_MS cli/src/up/supervisor.ts',
  'FOR_EVER_MS packages/kit/src/service-process/service-process.ts',
  'HOUR_MS services/transfers/src/http/listings.ts',
  'LONGEST_KIND services/connections/src/frames/greedy-text.ts',
  'MAX_INDEX services/transfers/src/http/push-proxy.ts',
  'MAX_RATE services/transfers/src/config.ts',
  'MAX_U32 packages/gnutella/src/messages/pong.ts',
  'MAX_U32 services/bootstrap/src/service-summaries.ts',
  'MAX_U32 services/search-index/src/search-index.ts',
  'MODIFIED_SLACK_MS services/transfers/src/http/shared-file.ts',
  'TICK_MS services/connections/src/frames/recent-texts.ts',
]);

/** Most and least values, and times; sizes that the protocol fixes, such as HEADER_BYTES, are no limits. */
function isLimit(name: string): boolean {
  return /(^|_)MAX_|^LONGEST_|^MIN_TOKEN_CHARS|_M?S$|LIMITS?$/.test(name);
}
