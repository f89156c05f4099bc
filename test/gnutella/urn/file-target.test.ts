import assert from 'node:assert/strict';
import { base32Encode, hexEncode, hostsServingByHash, parseFileTarget, parseMagnet } from '@filbert/gnutella';

const SHA1 = Uint8Array.from({ length: 20 }, (_, i) => 7 * i + 1);
const BASE32 = base32Encode(SHA1);
const HEX = hexEncode(SHA1);

describe('gnutella: what names a file to be fetched', () => {
  for (const text of [
    BASE32,
    BASE32.toLowerCase(),
    HEX,
    HEX.toUpperCase(),
    `urn:sha1:${BASE32}`,
    `URN:SHA1:${BASE32.toLowerCase()}`,
    `magnet:?xt=urn:sha1:${BASE32}`,
    `  Magnet:?dn=x&xt=urn:sha1:${BASE32}\n`,
  ]) {
    it(`reads ${JSON.stringify(text)}`, () => {
      const target = parseFileTarget(text);
      assert.ok(target.ok);
      assert.deepEqual(new Uint8Array(target.value.sha1), SHA1);
    });
  }

  it('keeps what a link says besides', () => {
    const target = parseFileTarget(`magnet:?xt=urn:sha1:${BASE32}&dn=a+song.mp3&xl=5`);
    assert.ok(target.ok);
    assert.deepEqual([target.value.name, target.value.sizeBytes], ['a song.mp3', 5]);
  });

  for (const [text, reason] of [
    ['', 'not-a-target'],
    ['a song', 'not-a-target'],
    [BASE32.slice(1), 'not-a-target'],
    [`${HEX}0`, 'not-a-target'],
    [`urn:tree:tiger:${'A'.repeat(39)}`, 'not-a-target'],
    ['magnet:?dn=x', 'no-sha1'],
    [`magnet:?xt=urn:tree:tiger:${'A'.repeat(39)}`, 'no-sha1'],
  ] as const) {
    it(`refuses ${JSON.stringify(text)} as ${reason}`, () => {
      const target = parseFileTarget(text);
      assert.ok(!target.ok);
      assert.equal(target.reason, reason);
    });
  }
});

describe('gnutella: hosts of a magnet that serve by hash', () => {
  it('are those of its exact and acceptable sources with such a path', () => {
    const sources = [
      `xs=http://192.0.2.1:6346/uri-res/N2R?urn:sha1:${BASE32}`,
      `as=http://192.0.2.2/uri-res/n2r?urn:sha1:${BASE32}`,
      'xs=http://192.0.2.3/file.bin',
      `xs=https://192.0.2.4/uri-res/N2R?urn:sha1:${BASE32}`,
    ];
    const magnet = parseMagnet(`magnet:?xt=urn:sha1:${BASE32}&${sources.join('&')}`);
    assert.ok(magnet.ok);
    assert.deepEqual(hostsServingByHash(magnet.value), ['192.0.2.1:6346', '192.0.2.2']);
  });
});
