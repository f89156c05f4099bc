// Whatever a peer sends: decoders return a value or a reason, and never throw.
import assert from 'node:assert/strict';
import fc from 'fast-check';
import {
  decodeBye,
  decodeCrawlerPing,
  decodeCrawlerPong,
  decodeFeaturesSupported,
  decodeHeadPing,
  decodeHeadPong,
  decodeHopsFlow,
  decodeHsep,
  decodeMessagesSupported,
  decodeOobClaim,
  decodeOobIndication,
  decodeOobProxyVeto,
  decodePing,
  decodePong,
  decodePush,
  decodePushProxyAck,
  decodeQuery,
  decodeQueryHit,
  decodeQueryStatusResponse,
  decodeTcpConnectBack,
  decodeTimeSyncReply,
  decodeTimeSyncRequest,
  decodeUdpConnectBack,
  decodeVendorEnvelope,
  Descriptor,
  HEADER_BYTES,
  hitAddress,
  hitPushProxies,
  hitXmlText,
  newQueryHitSummary,
  pongAddress,
  readDailyUptimeSeconds,
  readFreeSlots,
  readOwnAddress,
  readPackedHosts,
  readUdpHostCache,
  readVendorVersion,
  summarizeQueryHit,
} from '@filbert/gnutella';
import type { Decoded } from '@filbert/gnutella';
import { vectorsOfKind } from '../vectors.ts';
import { envelopeOf, frameOf } from './frames.ts';

type Decoder = (bytes: Uint8Array, start: number, end: number) => Decoded<unknown>;

const summary = newQueryHitSummary();

const decoders: Record<string, Decoder> = {
  ping: decodePing,
  pong: (bytes, start, end) => {
    const pong = decodePong(bytes, start, end);
    if (!pong.ok) return pong;
    const { ggep } = pong.value;
    pongAddress(pong.value);
    readFreeSlots(ggep);
    readDailyUptimeSeconds(ggep);
    readVendorVersion(ggep);
    readPackedHosts(ggep);
    readOwnAddress(ggep);
    readUdpHostCache(ggep);
    return pong;
  },
  bye: decodeBye,
  push: decodePush,
  query: (bytes, start, end) => decodeQuery(bytes, start, end, 65_535),
  queryHit: (bytes, start, end) => {
    summarizeQueryHit(bytes, start, end, summary);
    const hit = decodeQueryHit(bytes, start, end);
    if (!hit.ok) return hit;
    hitAddress(hit.value);
    hitPushProxies(hit.value);
    if (hit.value.trailer?.xml) hitXmlText(hit.value.trailer.xml);
    return hit;
  },
  hsep: decodeHsep,
  envelope: decodeVendorEnvelope,
  messagesSupported: decodeMessagesSupported,
  featuresSupported: decodeFeaturesSupported,
  hopsFlow: decodeHopsFlow,
  queryStatus: decodeQueryStatusResponse,
  veto: decodeOobProxyVeto,
  tcpConnectBack: decodeTcpConnectBack,
  udpConnectBack1: (bytes, start, end) => decodeUdpConnectBack(bytes, start, end, 1, 0),
  udpConnectBack2: (bytes, start, end) => decodeUdpConnectBack(bytes, start, end, 2, 0),
  pushProxyAck1: (bytes, start, end) => decodePushProxyAck(bytes, start, end, 1),
  pushProxyAck2: (bytes, start, end) => decodePushProxyAck(bytes, start, end, 2),
  indication1: (bytes, start, end) => decodeOobIndication(bytes, start, end, 1),
  indication3: (bytes, start, end) => decodeOobIndication(bytes, start, end, 3),
  claim2: (bytes, start, end) => decodeOobClaim(bytes, start, end, 2),
  claim3: (bytes, start, end) => decodeOobClaim(bytes, start, end, 3),
  timeSyncRequest: (bytes, start, end) => decodeTimeSyncRequest(bytes, start, end, 0),
  timeSyncReply: (bytes, start, end) => decodeTimeSyncReply(bytes, start, end, 0),
  headPing: decodeHeadPing,
  headPong1: (bytes, start, end) => decodeHeadPong(bytes, start, end, 1),
  headPong2: (bytes, start, end) => decodeHeadPong(bytes, start, end, 2),
  crawlerPing: decodeCrawlerPing,
  crawlerPong: decodeCrawlerPong,
};

const frames = vectorsOfKind('message').map(({ name }) => frameOf(name));

/** Runs every decoder; the bytes behind `end` are there, and must not be looked at. */
function decodeAll(bytes: Uint8Array, start: number, end: number): void {
  for (const [name, decode] of Object.entries(decoders)) {
    const here = decode(bytes, start, end);
    const alone = decode(bytes.slice(0, end), start, end);
    assert.equal(here.ok, alone.ok, `${name} looks behind the end`);
    if (!here.ok && !alone.ok) assert.equal(here.reason, alone.reason, name);
  }
}

describe('messages: hostile bytes', () => {
  it('are decoded or refused at every truncation of every vector, by every decoder', () => {
    for (const frame of frames) {
      const step = frame.length > 140 ? 3 : 1;
      const { descriptor } = envelopeOf(frame);
      const bodyStart = descriptor === Descriptor.VENDOR ? HEADER_BYTES + 8 : HEADER_BYTES;
      for (let end = bodyStart; end <= frame.length; end += step) decodeAll(frame, bodyStart, end);
    }
  }).timeout(5000);

  it('are decoded or refused with any of a vector’s bytes changed', () => {
    const mutation = fc.record({
      frame: fc.constantFrom(...frames),
      changes: fc.array(fc.tuple(fc.nat(255), fc.constantFrom(0, 1, 0x1c, 0x3f, 0x7f, 0x80, 0xc3, 0xff)), {
        minLength: 1,
        maxLength: 4,
      }),
    });
    fc.assert(
      fc.property(mutation, ({ frame, changes }) => {
        const bytes = frame.slice();
        for (const [at, value] of changes)
          bytes[HEADER_BYTES + (at % Math.max(1, bytes.length - HEADER_BYTES))] = value;
        decodeAll(bytes, HEADER_BYTES, bytes.length);
        decodeAll(bytes, Math.min(HEADER_BYTES + 8, bytes.length), bytes.length);
      }),
      { numRuns: 150 },
    );
  });

  it('are decoded or refused when they are random', () => {
    const bytes = fc.oneof(
      fc.uint8Array({ maxLength: 120 }),
      fc.uint8Array({ maxLength: 120 }).map((raw) => raw.map((byte) => byte & 0xc3)),
    );
    fc.assert(
      fc.property(bytes, fc.nat(20), (raw, before) => {
        const padded = Uint8Array.of(...new Uint8Array(HEADER_BYTES + before), ...raw);
        decodeAll(padded, HEADER_BYTES + before, padded.length);
      }),
      { numRuns: 150 },
    );
  });

  it('of the largest size cost no more than a fraction of a second', () => {
    for (const byte of [0x00, 0x01, 0x1c, 0x3c, 0x61, 0xc3, 0xff]) {
      const bytes = new Uint8Array(65_535).fill(byte);
      const started = performance.now();
      decodeAll(bytes, 0, bytes.length);
      assert.ok(performance.now() - started < 2000, `bytes of ${byte}`);
    }
    // A block that is broken at its far end, again and again: each start is tried, the number of tries is bounded.
    const nested = new Uint8Array(65_000).fill(0xc3);
    for (let at = 2; at + 4 < nested.length; at += 4) nested.set([0x01, 0x41, 0x40], at);
    const started = performance.now();
    decodeAll(nested, 0, nested.length);
    assert.ok(performance.now() - started < 2000);
  }).timeout(20_000);
});
