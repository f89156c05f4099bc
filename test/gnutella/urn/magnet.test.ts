import assert from 'node:assert/strict';
import fc from 'fast-check';
import { asSha1, asTth, formatMagnet, MAX_MAGNET_CHARS, MAX_MAGNET_SOURCES, parseMagnet } from '@filbert/gnutella';
import type { Magnet } from '@filbert/gnutella';

const XT = 'xt=urn:sha1:VGMT4NSHA2AWVOR6EVYXQUGCNSONBWE5';

function parse(link: string): Magnet {
  const parsed = parseMagnet(link);
  assert.ok(parsed.ok, link);
  return parsed.value;
}

describe('magnet', () => {
  it('brings what it writes back', () => {
    const text = fc.string({ minLength: 1, maxLength: 20, unit: fc.constantFrom(...'aZ0 &=%+#é漢.-') });
    fc.assert(
      fc.property(
        fc.uint8Array({ minLength: 20, maxLength: 20 }),
        fc.option(fc.uint8Array({ minLength: 24, maxLength: 24 })),
        fc.option(text.map((name) => `f${name}g`)),
        fc.option(fc.maxSafeNat()),
        fc.uniqueArray(fc.webUrl({ validSchemes: ['http', 'https'] }), { maxLength: 3 }),
        (sha1, tth, name, size, urls) => {
          const sources = [...new Set(urls.map((url) => new URL(url).href))];
          const magnet: Magnet = {
            sha1: asSha1(sha1),
            ...(tth === null ? {} : { tth: asTth(tth) }),
            ...(name === null ? {} : { name }),
            ...(size === null ? {} : { sizeBytes: size }),
            exactSources: sources,
            acceptableSources: [...sources].reverse(),
          };
          assert.deepEqual(parse(formatMagnet(magnet)), magnet);
        },
      ),
      { numRuns: 60 },
    );
  });

  it('reads numbered parameters, any order and case, and a tree root alone', () => {
    const link = parse(`MAGNET:?dn=a+b%20c&XL=12&xt.1=urn:btih:0&xt.2=${XT.slice(3).toLowerCase()}&foo=bar&tr`);
    assert.equal(link.name, 'a b c');
    assert.equal(link.sizeBytes, 12);
    assert.equal(link.sha1?.length, 20);
    const tree = parse(`magnet:?xt=urn:tree:tiger:${'A'.repeat(39)}`);
    assert.equal(tree.tth?.length, 24);
    assert.equal(formatMagnet(tree), `magnet:?xt=urn:tree:tiger:${'A'.repeat(39)}`);
  });

  it('refuses other links, links without a hash, and links that are too long', () => {
    const reason = (link: string): string => {
      const parsed = parseMagnet(link);
      return parsed.ok ? 'accepted' : parsed.reason;
    };
    assert.equal(reason('http://example.com/'), 'not-a-magnet');
    assert.equal(reason('magnet:?dn=x'), 'no-hash');
    assert.equal(reason('magnet:?xt=urn:sha1:short'), 'no-hash');
    assert.equal(reason(`magnet:?${XT}&dn=${'x'.repeat(MAX_MAGNET_CHARS)}`), 'too-large');
  });

  it('makes a name harmless: no path, no control or direction characters, 255 characters at most', () => {
    const nameOf = (dn: string): string | undefined => parse(`magnet:?${XT}&dn=${encodeURIComponent(dn)}`).name;
    assert.equal(nameOf('../../etc/passwd'), 'passwd');
    assert.equal(nameOf('C:\\windows\\x.exe'), 'x.exe');
    assert.equal(nameOf('a\r\nb\0\u202ec\u001b[2J'), 'abc[2J');
    assert.equal(nameOf('x'.repeat(1000))?.length, 255);
    for (const dn of ['..', '.', 'a/..', '/', '', '\u0000']) assert.equal(nameOf(dn), undefined, dn);
  });

  it('takes http and https sources without credentials, 16 at most, and sizes that are numbers', () => {
    const sources = (list: readonly string[]): readonly string[] =>
      parse(`magnet:?${XT}&${list.map((url) => `xs=${encodeURIComponent(url)}`).join('&')}`).exactSources;
    assert.deepEqual(
      sources(['javascript:alert(1)', 'file:///etc/passwd', 'http://u:p@h/', 'urn:sha1:x', '//h', 'http://h/a']),
      ['http://h/a'],
    );
    assert.equal(sources(Array.from({ length: 40 }, (_, i) => `http://h/${i}`)).length, MAX_MAGNET_SOURCES);
    for (const xl of ['-1', '1e9', '99999999999999999999', 'x', '9007199254740993']) {
      assert.equal(parse(`magnet:?${XT}&xl=${xl}`).sizeBytes, undefined, xl);
    }
  });

  it('never throws, broken percent signs included', () => {
    assert.ok(parseMagnet(`magnet:?${XT}&dn=%zz&dn=%ff`).ok);
    fc.assert(fc.property(fc.string({ maxLength: 200 }), (rest) => void parseMagnet(`magnet:?${rest}`)));
  });
});
