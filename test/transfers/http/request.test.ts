import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { parseRequest } from '../../../services/transfers/src/http/request.ts';

const vectors = JSON.parse(readFileSync(new URL('../../vectors/vectors-limewire.json', import.meta.url), 'utf8')) as {
  readonly urn: Record<'valid' | 'invalid' | 'valid_n2r', readonly string[]>;
};

function targetOf(requestLine: string): string {
  const parsed = parseRequest({ startLine: `GET ${requestLine}`, headers: new Map([['host', 'x']]) });
  return 'status' in parsed ? String(parsed.status) : parsed.target.kind;
}

describe('transfers: requests by URN', () => {
  for (const line of vectors.urn.valid_n2r) {
    it(`takes "${line}"`, () => assert.equal(targetOf(line), 'urn'));
  }

  for (const urn of vectors.urn.valid) {
    it(`finds a file by "${urn}"`, () => {
      assert.equal(targetOf(`/uri-res/N2R?${encodeURIComponent(urn)} HTTP/1.1`), 'urn');
    });
  }

  for (const urn of vectors.urn.invalid) {
    it(`finds none by "${urn}"`, () => {
      assert.equal(targetOf(`/uri-res/N2R?${encodeURIComponent(urn)} HTTP/1.1`), 'unknown');
    });
  }

  it('decodes names as UTF-8, and as Latin-1 where they are none', () => {
    const nameOf = (path: string): string | undefined => {
      const parsed = parseRequest({ startLine: `GET ${path} HTTP/1.0`, headers: new Map() });
      return 'status' in parsed || parsed.target.kind !== 'index' ? undefined : parsed.target.name;
    };
    assert.equal(nameOf('/get/1/a%20b+c%2B.mp3'), 'a b+c+.mp3');
    assert.equal(nameOf('/get/1/n%C3%A4me'), 'näme');
    assert.equal(nameOf('/get/1/n%E4me'), 'näme');
    assert.equal(nameOf('/get/1/n\u00e4me'), 'näme');
    assert.equal(nameOf('/GET/2147483647/x'), undefined);
  });
});
