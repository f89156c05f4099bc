import assert from 'node:assert/strict';
import fc from 'fast-check';
import type { Sniffed } from '@filbert/gnutella';
import { sniff } from '@filbert/gnutella';
import { bytes } from './support.ts';

const WHOLE: readonly [text: string, kind: Sniffed][] = [
  ['GNUTELLA CONNECT/0.6\r\n', 'gnutella'],
  ['GNUTELLA CONNECT/0.4\n\n', 'gnutella'],
  ['GET / HTTP/1.1\r\n', 'http'],
  ['HEAD /uri-res/N2R?urn:sha1:X HTTP/1.1\r\n', 'http'],
  ['GIV 0:0123456789abcdef0123456789abcdef/file\n\n', 'giv'],
  ['QUEUE 0123456789abcdef 198.51.100.1:6346\r\n', 'queue'],
  ['CONNECT BACK\r\n\r\n', 'connect-back'],
  ['\n\n', 'connect-back'],
  ['\r\n\r\n', 'connect-back'],
  ['\x16\x03\x01', 'tls'],
  ['\x80\x2e', 'tls'],
  ['\x00', 'tls'],
  ['PUSH guid:0123\r\n\r\n', 'unknown'],
  ['CHAT CONNECT/0.1\r\n', 'unknown'],
  ['POST / HTTP/1.1\r\n', 'unknown'],
  ['get / HTTP/1.1\r\n', 'unknown'],
  ['GETX', 'unknown'],
  ['GNUTELLA/0.6 200 OK\r\n', 'unknown'],
  ['GNUTELLA PING\r\n', 'unknown'],
  ['\nGET / HTTP/1.1\r\n', 'unknown'],
  ['\r\rx', 'unknown'],
];

describe('handshake: sniff', () => {
  for (const [text, kind] of WHOLE) {
    it(`takes ${encodeURI(text)} for ${kind}, byte by byte too`, () => {
      assert.equal(sniff(bytes(text)), kind);
      const answers = new Set<Sniffed>();
      for (let length = 0; length <= text.length; length++) answers.add(sniff(bytes(text.slice(0, length))));
      answers.delete('need-more');
      assert.deepEqual([...answers], [kind], 'the answer changes with what follows');
    });
  }

  it('asks for more before the first byte and while a prefix is incomplete', () => {
    for (const text of ['', 'G', 'GE', 'GET', 'GI', 'GNUTELLA CONNECT', 'QUEU', 'CONNECT', '\n', '\r', '\r\n\r']) {
      assert.equal(sniff(bytes(text)), 'need-more', JSON.stringify(text));
    }
  });

  it('has an answer for any 17 bytes', () => {
    fc.assert(
      fc.property(fc.uint8Array({ minLength: 17, maxLength: 64 }), (data) => sniff(data) !== 'need-more'),
      { numRuns: 300 },
    );
  });
});
