import assert from 'node:assert/strict';
import fc from 'fast-check';
import {
  asSha1,
  CRAWLER_ALL,
  CrawlerFeature,
  decodeCrawlerPing,
  decodeCrawlerPong,
  decodeFeaturesSupported,
  decodeHeadPing,
  decodeHeadPong,
  decodeHopsFlow,
  decodeMessagesSupported,
  decodeOobClaim,
  decodeOobIndication,
  decodeOobProxyVeto,
  decodePushProxyAck,
  decodeTcpConnectBack,
  decodeTimeSyncReply,
  decodeUdpConnectBack,
  decodeVendorEnvelope,
  encodeCrawlerPong,
  encodeFeaturesSupported,
  encodeHeadPing,
  encodeHeadPong,
  encodeHeadPong1,
  encodeHopsFlow,
  encodeMessagesSupported,
  encodeOobClaim,
  encodeOobIndication,
  encodeOobProxyVeto,
  encodePushProxyAck,
  encodePushProxyCancel,
  encodePushProxyRequest,
  encodeQueryStatusResponse,
  encodeTcpConnectBack,
  encodeTimeSyncReply,
  encodeUdpConnectBack,
  encodeVendorMessage,
  estimateTimeOffset,
  GnutellaError,
  HEADER_BYTES,
  HEAD_QUEUE_BUSY,
  HeadFlag,
  QUERY_STATUS_STOP,
  VETO_ALL_VERSIONS,
  VendorMessage,
} from '@filbert/gnutella';
import type { CrawlerPong, HeadPong } from '@filbert/gnutella';
import { hexBytes, hexOf, vectorNamed } from '../vectors.ts';
import { envelopeOf, MESSAGE, reasonOf, SERVENT, valueOf, vendorOf } from './frames.ts';

/** Decodes the body of a vendor frame. */
function bodyOf<T>(
  frame: Uint8Array,
  decode: (bytes: Uint8Array, start: number, end: number, version: number) => T,
): T {
  const { bodyStart, bodyEnd, version } = vendorOf(frame);
  return decode(frame, bodyStart, bodyEnd, version);
}

describe('vendor message', () => {
  it('has an envelope that is matched exactly; what is unknown has no name', () => {
    for (const [name, kind] of Object.entries(VendorMessage)) {
      const envelope = vendorOf(encodeVendorMessage(kind, new Uint8Array(3)));
      assert.equal(envelope.name, name);
      assert.equal(envelope.bodyEnd - envelope.bodyStart, 3);
    }
    for (const kind of [
      { vendor: 'BEAR', selector: 4, version: 2 },
      { vendor: 'bear', selector: 4, version: 1 },
      { vendor: 'XXXX', selector: 1, version: 1 },
    ]) {
      assert.equal(vendorOf(encodeVendorMessage(kind, new Uint8Array(0))).name, undefined);
    }
    assert.equal(reasonOf(decodeVendorEnvelope(new Uint8Array(7), 0, 7)), 'short');
    assert.throws(
      () => encodeVendorMessage({ vendor: 'LIM', selector: 1, version: 1 }, new Uint8Array(0)),
      GnutellaError,
    );
  });

  it('has TTL 1, no hops and the zero GUID unless something else is meant', () => {
    assert.deepEqual(envelopeOf(encodeHopsFlow(3)), { guid: new Uint8Array(16), descriptor: 0x31, ttl: 1, hops: 0 });
    assert.equal(vendorOf(encodePushProxyCancel()).name, 'PUSH_PROXY_CANCEL');
    assert.equal(vendorOf(encodePushProxyRequest(SERVENT)).name, 'PUSH_PROXY_REQUEST');
    assert.deepEqual(envelopeOf(encodePushProxyRequest(SERVENT)).guid, SERVENT);
  });
});

describe('messages and features supported', () => {
  it('refuse a count over the data, use one below it, and keep what they do not know', () => {
    const messages = encodeMessagesSupported([{ vendor: 'XXXX', selector: 1, version: 2 }, VendorMessage.HOPS_FLOW]);
    const features = encodeFeaturesSupported([
      { name: 'ABCD', version: 3 },
      { name: 'WHAT', version: 1 },
    ]);
    for (const [frame, decode] of [
      [messages, decodeMessagesSupported],
      [features, decodeFeaturesSupported],
    ] as const) {
      const { bodyStart, bodyEnd } = vendorOf(frame);
      assert.equal(valueOf<readonly unknown[]>(decode(frame, bodyStart, bodyEnd)).length, 2);
      frame[bodyStart] = 3;
      assert.equal(reasonOf(decode(frame, bodyStart, bodyEnd)), 'bad-count');
      frame[bodyStart] = 1;
      assert.equal(valueOf<readonly unknown[]>(decode(frame, bodyStart, bodyEnd)).length, 1);
      frame[bodyStart + 1] = 0xff;
      assert.equal(reasonOf(decode(frame, bodyStart, bodyEnd)), 'bad-count');
      assert.equal(reasonOf(decode(frame, bodyStart, bodyStart + 1)), 'short');
    }
    assert.deepEqual(valueOf(bodyOf(features, () => decodeFeaturesSupported(hexBytes('0100414243440300'), 0, 8))), [
      { name: 'ABCD', version: 3 },
    ]);
    assert.throws(() => encodeFeaturesSupported([{ name: 'X', version: 1 }]), GnutellaError);
  });

  it('keep 256 entries of a longer list', () => {
    const frame = encodeFeaturesSupported(Array.from({ length: 400 }, () => ({ name: 'ABCD', version: 1 })));
    assert.equal(valueOf(bodyOf(frame, decodeFeaturesSupported)).length, 256);
  });
});

describe('flow messages', () => {
  it('read hops flow of 5 and more as no limit, and ignore surplus bytes', () => {
    for (const [hops, meant] of [
      [0, 0],
      [4, 4],
      [5, 5],
      [255, 5],
      [1000, 5],
    ] as const) {
      assert.equal(valueOf(bodyOf(encodeHopsFlow(hops), decodeHopsFlow)), meant);
    }
    assert.equal(valueOf(decodeHopsFlow(Uint8Array.of(2, 9, 9), 0, 3)), 2);
    assert.equal(reasonOf(decodeHopsFlow(new Uint8Array(0), 0, 0)), 'short');
  });

  it('cap the kept hits, and read an empty veto as one of all versions', () => {
    assert.equal(hexOf(encodeQueryStatusResponse(MESSAGE, 1e6)).slice(-4), 'ffff');
    assert.equal(QUERY_STATUS_STOP, 0xffff);
    assert.equal(valueOf(bodyOf(encodeOobProxyVeto(), decodeOobProxyVeto)), VETO_ALL_VERSIONS);
    assert.equal(valueOf(bodyOf(encodeOobProxyVeto(2), decodeOobProxyVeto)), 2);
  });
});

describe('connect back and push proxy', () => {
  it('refuse port 0 and short bodies', () => {
    assert.equal(reasonOf(bodyOf(encodeTcpConnectBack(0), decodeTcpConnectBack)), 'port-zero');
    assert.equal(reasonOf(decodeTcpConnectBack(new Uint8Array(1), 0, 1)), 'short');
    for (const version of [1, 2] as const) {
      const request = encodeUdpConnectBack(6346, SERVENT, version);
      const { bodyStart, bodyEnd } = vendorOf(request);
      assert.deepEqual(valueOf(decodeUdpConnectBack(request, bodyStart, bodyEnd, version, 0)), {
        port: 6346,
        pingGuid: SERVENT,
      });
      assert.equal(reasonOf(decodeUdpConnectBack(request, bodyStart, bodyEnd - 1, version, 0)), 'short');
      const portless = encodeUdpConnectBack(0, SERVENT, version);
      assert.equal(reasonOf(decodeUdpConnectBack(portless, bodyStart, bodyEnd, version, 0)), 'port-zero');
      const ack = { ip: version === 1 ? undefined : 0x08080808, port: 6346 };
      const frame = encodePushProxyAck(SERVENT, ack);
      assert.deepEqual(valueOf(bodyOf(frame, decodePushProxyAck)), ack);
      assert.equal(reasonOf(decodePushProxyAck(frame, bodyStart, frame.length - 1, version)), 'short');
      assert.equal(reasonOf(bodyOf(encodePushProxyAck(SERVENT, { ...ack, port: 0 }), decodePushProxyAck)), 'port-zero');
    }
    const short = encodeUdpConnectBack(6346, SERVENT, 2);
    assert.equal(reasonOf(decodeUdpConnectBack(short, HEADER_BYTES + 8, short.length, 2, short.length - 3)), 'short');
  });
});

describe('out-of-band messages', () => {
  it('come back in every version', () => {
    for (const version of [2, 3] as const) {
      for (const canReceiveUnsolicited of [true, false]) {
        const indication = { hits: 255, canReceiveUnsolicited };
        assert.deepEqual(
          valueOf(bodyOf(encodeOobIndication(MESSAGE, indication, version), decodeOobIndication)),
          indication,
        );
      }
    }
    assert.deepEqual(valueOf(decodeOobIndication(Uint8Array.of(3), 0, 1, 1)), {
      hits: 3,
      canReceiveUnsolicited: undefined,
    });
    const old = { wanted: 7, token: undefined };
    assert.deepEqual(valueOf(bodyOf(encodeOobClaim(MESSAGE, old), decodeOobClaim)), old);
    assert.equal(vendorOf(encodeOobClaim(MESSAGE, old)).name, 'OOB_CLAIM_2');
  });

  it('are refused without hits, token or bytes', () => {
    assert.equal(reasonOf(decodeOobIndication(Uint8Array.of(0, 1), 0, 2, 3)), 'no-hits');
    assert.equal(reasonOf(decodeOobIndication(Uint8Array.of(1), 0, 1, 2)), 'short');
    assert.equal(reasonOf(decodeOobClaim(new Uint8Array(0), 0, 0, 2)), 'short');
    assert.equal(reasonOf(decodeOobClaim(Uint8Array.of(5), 0, 1, 3)), 'no-token');
    for (const size of [0, 17]) {
      const frame = encodeOobClaim(MESSAGE, { wanted: 1, token: new Uint8Array(size) });
      assert.equal(reasonOf(bodyOf(frame, decodeOobClaim)), 'no-token', String(size));
    }
  });
});

describe('time sync', () => {
  it('computes round trip and offset as the table time_sync_math says', () => {
    const { input, expected } = vectorNamed('time_sync_math');
    const { T1, T2, T3, T4 } = input as Record<'T1' | 'T2' | 'T3' | 'T4', number>;
    const { rtt, offset } = expected as { rtt: number; offset: number };
    const estimate = estimateTimeOffset(T1, T2, T3, T4);
    assert.ok(estimate);
    assert.ok(Math.abs(estimate.roundTripSeconds - rtt) < 1e-9);
    assert.ok(Math.abs(estimate.offsetSeconds - offset) < 1e-9);
    assert.equal(estimateTimeOffset(1, 0, 9, 2), undefined);
    assert.equal(estimateTimeOffset(Number.NaN, 0, 9, 2), undefined);
  });

  it('brings a reply back, T1 and T3 in the GUID', () => {
    const stamp = (seconds: number): { seconds: number; microseconds: number } => ({
      seconds,
      microseconds: seconds * 2,
    });
    const reply = { sentAt: stamp(100), arrivedAt: stamp(110), repliedAt: stamp(111), clockUnderNtp: true };
    const frame = encodeTimeSyncReply(reply);
    const { bodyStart, bodyEnd } = vendorOf(frame);
    assert.deepEqual(valueOf(decodeTimeSyncReply(frame, bodyStart, bodyEnd, 0)), reply);
    assert.equal(reasonOf(decodeTimeSyncReply(frame, bodyStart, bodyEnd - 1, 0)), 'short');
  });
});

describe('head ping', () => {
  const sha1 = asSha1(new Uint8Array(20).fill(7));
  const urn = hexOf(encodeHeadPing(MESSAGE, { flags: 0, sha1, targetGuid: undefined }).subarray(HEADER_BYTES + 9));
  const decode = (hex: string): ReturnType<typeof decodeHeadPing> => {
    const bytes = hexBytes(hex);
    return decodeHeadPing(bytes, 0, bytes.length);
  };

  it('comes back with and without a target, unknown flags cleared', () => {
    assert.deepEqual(valueOf(decode(`ef${urn}`)), { flags: 0x0f, sha1, targetGuid: undefined });
    const ping = { flags: HeadFlag.RANGES | HeadFlag.GGEP, sha1, targetGuid: undefined };
    assert.equal(valueOf(bodyOf(encodeHeadPing(MESSAGE, ping), decodeHeadPing)).flags, HeadFlag.RANGES);
  });

  it('is refused without a good URN, or with the GGEP flag and no GGEP or a bad target', () => {
    assert.equal(reasonOf(decode('')), 'short');
    assert.equal(reasonOf(decode('00')), 'bad-urn');
    assert.equal(reasonOf(decode(`00${urn}00`)), 'bad-urn');
    assert.equal(reasonOf(decode(`00${urn.slice(2)}`)), 'bad-urn');
    assert.equal(reasonOf(decode(`10${urn}`)), 'bad-ggep');
    assert.equal(reasonOf(decode(`10${urn}c390`)), 'bad-ggep');
    assert.equal(reasonOf(decode(`10${urn}c3845055534841aa`)), 'bad-target');
    assert.equal(valueOf(decode(`10${urn}c3814140`)).targetGuid, undefined);
  });
});

describe('head pong', () => {
  const found: HeadPong = {
    availability: 'partial',
    isFirewalled: true,
    isDownloading: true,
    vendor: 'FLBT',
    queue: HEAD_QUEUE_BUSY,
    takesTls: false,
    ranges: [{ first: 0, last: 4_294_967_295 }],
    alternates: [{ host: '8.8.8.8', port: 6346 }],
  };
  const notFound: HeadPong = {
    availability: 'not-found',
    isFirewalled: false,
    isDownloading: false,
    takesTls: false,
    ranges: [],
    alternates: [],
  };

  it('comes back in both versions', () => {
    const all = HeadFlag.RANGES | HeadFlag.ALTERNATES;
    for (const pong of [found, notFound, { ...found, queue: -128 }]) {
      assert.deepEqual(valueOf(bodyOf(encodeHeadPong(MESSAGE, pong), decodeHeadPong)), pong);
      assert.deepEqual(valueOf(bodyOf(encodeHeadPong1(MESSAGE, pong, all), decodeHeadPong)), pong);
    }
    const ipv6 = { ...found, takesTls: true, alternates: [{ host: '2001:db8::5', port: 1 }] };
    assert.deepEqual(valueOf(bodyOf(encodeHeadPong(MESSAGE, ipv6), decodeHeadPong)), ipv6);
    assert.equal(encodeHeadPong1(MESSAGE, notFound, all).length, HEADER_BYTES + 8 + 2);
    const unasked = valueOf(bodyOf(encodeHeadPong1(MESSAGE, found, 0), decodeHeadPong));
    assert.deepEqual([unasked.ranges, unasked.alternates], [[], []]);
  });

  it('skips push alternates between ranges and alternates of version 1', () => {
    const bytes = hexBytes('07 01 464c4254 00 0000 0003aabbcc 0006080808080100');
    const pong = valueOf(decodeHeadPong(bytes, 0, bytes.length, 1));
    assert.deepEqual(pong.alternates, [{ host: '8.8.8.8', port: 1 }]);
  });

  it('is refused short, without what it must have, and with blocks past the end', () => {
    const reason = (hex: string, version: number): string => {
      const bytes = hexBytes(hex);
      return reasonOf(decodeHeadPong(bytes, 0, bytes.length, version));
    };
    assert.equal(reason('00', 1), 'short');
    assert.equal(reason('0000', 1), 'accepted');
    assert.equal(reason('0003', 1), 'bad-code');
    assert.equal(reason('0001464c4254', 1), 'incomplete');
    assert.equal(reason('0101464c42540000', 1), 'bad-block');
    assert.equal(reason('0101464c4254000005', 1), 'bad-block');
    assert.equal(reason('41', 2), 'bad-ggep');
    assert.equal(reason('', 2), 'no-code');
    assert.equal(reason('c3814341 00'.replace(' ', ''), 2), 'accepted');
    assert.equal(reason('c381434103', 2), 'bad-code');
    assert.equal(reason('c381434101', 2), 'incomplete');
    const queueless: HeadPong = { ...notFound, availability: 'complete', vendor: 'FLBT' };
    assert.throws(() => encodeHeadPong(MESSAGE, queueless), GnutellaError);
    assert.throws(() => encodeHeadPong1(MESSAGE, { ...found, vendor: 'X' }, 0), GnutellaError);
  });
});

describe('crawler', () => {
  const peer = (i: number): CrawlerPong['ultrapeers'][number] => ({
    address: { host: `8.8.8.${i}`, port: 6346 },
    connectedMinutes: i,
    locale: 'en',
    replies: i * 1000,
  });

  it('clears unknown feature bits, and needs three bytes', () => {
    assert.deepEqual(valueOf(decodeCrawlerPing(Uint8Array.of(255, 1, 255, 9), 0, 4)), {
      ultrapeers: CRAWLER_ALL,
      leaves: 1,
      features: 0x7f,
    });
    assert.equal(reasonOf(decodeCrawlerPing(new Uint8Array(2), 0, 2)), 'short');
  });

  it('brings a pong with everything back in both forms, escaped agents too', () => {
    const agents = fc.array(fc.string({ unit: fc.constantFrom(...'ab;\\/ ä'), maxLength: 8 }), {
      minLength: 1,
      maxLength: 4,
    });
    fc.assert(
      fc.property(agents, fc.constantFrom('limewire', 'gtk-gnutella'), (userAgents, form) => {
        const pong: CrawlerPong = {
          features: Object.values(CrawlerFeature).reduce((all, bit) => all | bit, 0),
          uptimeSeconds: 77,
          ultrapeers: [peer(1), peer(2)],
          leaves: [peer(3)],
          dhtStatus: 2,
          userAgents,
        };
        assert.deepEqual(valueOf(bodyOf(encodeCrawlerPong(MESSAGE, pong, form), decodeCrawlerPong)), pong);
      }),
      { numRuns: 30 },
    );
  });

  it('is refused with more peers than bytes, and read without agents that do not inflate', () => {
    const decode = (hex: string): ReturnType<typeof decodeCrawlerPong> => {
      const bytes = hexBytes(hex);
      return decodeCrawlerPong(bytes, 0, bytes.length);
    };
    assert.equal(reasonOf(decode('0000')), 'short');
    assert.equal(reasonOf(decode('000010')), 'short');
    assert.equal(reasonOf(decode('ffff00')), 'bad-count');
    assert.equal(reasonOf(decode('010000 0808080801')), 'bad-count');
    assert.equal(reasonOf(decode('000040')), 'bad-count');
    for (const rest of ['', '0200', '02001f8b', '789c', 'ffff1f8b0800']) {
      assert.equal(valueOf(decode(`000008${rest}`)).userAgents, undefined, rest);
    }
    const many = { features: 0, ultrapeers: Array.from({ length: 256 }, () => peer(1)), leaves: [] };
    assert.throws(() => encodeCrawlerPong(MESSAGE, many), GnutellaError);
    const ipv6 = { features: 0, ultrapeers: [{ address: { host: '::1', port: 1 } }], leaves: [] };
    assert.throws(() => encodeCrawlerPong(MESSAGE, ipv6), GnutellaError);
  });
});
