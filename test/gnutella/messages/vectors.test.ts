// Every vector of kind message: decoded, and encoded again to the same bytes.
import assert from 'node:assert/strict';
import {
  asSha1,
  ByeCode,
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
  decodePing,
  decodePong,
  decodePush,
  decodePushProxyAck,
  decodeQuery,
  decodeQueryHit,
  decodeQueryStatusResponse,
  decodeTcpConnectBack,
  decodeTimeSyncRequest,
  decodeUdpConnectBack,
  Descriptor,
  encodeBye,
  encodeCrawlerPing,
  encodeCrawlerPong,
  encodeFeaturesSupported,
  encodeHeadPing,
  encodeHeadPong,
  encodeHopsFlow,
  encodeHsep,
  encodeMessagesSupported,
  encodeOobClaim,
  encodeOobIndication,
  encodePing,
  encodePong,
  encodePush,
  encodePushProxyAck,
  encodePushProxyRequest,
  encodeQuery,
  encodeQueryHit,
  encodeQueryStatusRequest,
  encodeQueryStatusResponse,
  encodeTcpConnectBack,
  encodeTimeSyncRequest,
  encodeUdpConnectBack,
  findGgepValue,
  formatPeerAddress,
  formatSha1Urn,
  HEADER_BYTES,
  hitAddress,
  hitPushProxies,
  ipv4FromText,
  pongAddress,
  pushAddress,
  readDailyUptimeSeconds,
  readFreeSlots,
  readPackedHosts,
  readVendorVersion,
  selectorKey,
} from '@filbert/gnutella';
import { hexBytes, hexOf, vectorsOfKind } from '../vectors.ts';
import { envelopeOf, frameOf, MESSAGE, OOB_QUERY, SERVENT, valueOf, vendorOf } from './frames.ts';

const IP = ipv4FromText('203.0.113.7') ?? 0;
const PLST = 'urn:sha1:PLSTHIPQGSSZTS5FJUPAKUZWUGYQYPFB';

const runs: Record<string, (frame: Uint8Array) => Uint8Array | undefined> = {
  ping_plain: (frame) => {
    assert.deepEqual(valueOf(decodePing(frame, HEADER_BYTES, frame.length)).ggep, []);
    return encodePing(envelopeOf(frame));
  },
  ping_crawler: (frame) => {
    assert.deepEqual(valueOf(decodePing(frame, HEADER_BYTES, frame.length)).ggep, []);
    return encodePing(envelopeOf(frame));
  },
  ping_scp_uhc: (frame) => {
    const { ggep } = valueOf(decodePing(frame, HEADER_BYTES, frame.length));
    assert.deepEqual(findGgepValue(ggep, 'SCP'), Uint8Array.of(1));
    assert.deepEqual(readVendorVersion(ggep), { vendor: 'GTKG', major: 12, minor: 5 });
    return encodePing(envelopeOf(frame), ggep);
  },
  pong_plain: (frame) => {
    const pong = valueOf(decodePong(frame, HEADER_BYTES, frame.length));
    assert.deepEqual(pong, { port: 6346, ip: IP, files: 150, kib: 1024, isUltrapeer: true, ggep: [] });
    assert.deepEqual(pongAddress(pong), { host: '203.0.113.7', port: 6346 });
    return encodePong(envelopeOf(frame), pong);
  },
  pong_ggep: (frame) => {
    const pong = valueOf(decodePong(frame, HEADER_BYTES, frame.length));
    assert.deepEqual(readFreeSlots(pong.ggep), { leafSlots: 120, ultrapeerSlots: 7 });
    assert.equal(readDailyUptimeSeconds(pong.ggep), 43_200);
    assert.deepEqual(
      readPackedHosts(pong.ggep).map(({ address }) => formatPeerAddress(address)),
      ['198.51.100.1:6346', '198.51.100.2:53217'],
    );
    return encodePong(envelopeOf(frame), pong);
  },
  query_plain: (frame) => {
    const query = valueOf(decodeQuery(frame, HEADER_BYTES, frame.length));
    assert.deepEqual([query.flags, query.text, query.sha1s.length], [0x8800, 'gnutella protocol', 0]);
    return encodeQuery(envelopeOf(frame), query);
  },
  query_huge_ggep: (frame) => {
    const query = valueOf(decodeQuery(frame, HEADER_BYTES, frame.length));
    assert.equal(query.flags, 0xbc00);
    assert.deepEqual(query.sha1s.map(formatSha1Urn), [PLST]);
    assert.deepEqual(
      query.ggep.map(({ id, data }) => [id, hexOf(data)]),
      [
        ['SO', ''],
        ['M', '10'],
      ],
    );
    return encodeQuery(envelopeOf(frame), query);
  },
  query_urn_only: (frame) => {
    const query = valueOf(decodeQuery(frame, HEADER_BYTES, frame.length));
    assert.equal(query.text, '\\');
    assert.deepEqual(query.sha1s.map(formatSha1Urn), [PLST]);
    return encodeQuery(envelopeOf(frame), { ...query, finalNul: true });
  },
  query_whats_new: (frame) => {
    const query = valueOf(decodeQuery(frame, HEADER_BYTES, frame.length));
    assert.equal(query.isWhatsNew, true);
    return encodeQuery(envelopeOf(frame), query);
  },
  queryhit_full: (frame) => {
    const hit = valueOf(decodeQueryHit(frame, HEADER_BYTES, frame.length));
    const [small, large] = hit.records;
    assert.ok(small && large && hit.trailer);
    assert.deepEqual([small.index, small.sizeBytes, small.name], [7, 3, 'abc.txt']);
    assert.equal(small.sha1 && formatSha1Urn(small.sha1), 'urn:sha1:VGMT4NSHA2AWVOR6EVYXQUGCNSONBWE5');
    assert.deepEqual([large.index, large.sizeBytes, large.name], [8, 5_368_709_120, 'big file.iso']);
    assert.equal(large.sha1 && hexOf(large.sha1), 'a9993e364706816aba3e25717850c26c9cd0d89d');
    const { vendor, needsPush, isBusy, hasUploaded, speedIsMeasured } = hit.trailer;
    assert.deepEqual([vendor, needsPush, isBusy, hasUploaded, speedIsMeasured], ['GTKG', true, false, true, false]);
    assert.deepEqual(hitAddress(hit), { host: '203.0.113.7', port: 6346 });
    assert.deepEqual(hitPushProxies(hit), [{ host: '192.0.2.10', port: 6346 }]);
    assert.deepEqual(hit.serventGuid, SERVENT);
    return encodeQueryHit(envelopeOf(frame), {
      ...hit,
      records: hit.records.map((record, i) => ({
        index: record.index,
        sizeBytes: record.sizeBytes,
        name: record.name,
        // The second record has its hash in GGEP.
        ...(i === 0 && record.sha1 ? { sha1: record.sha1 } : {}),
        ggep: record.ggep,
      })),
      trailer: { vendor, needsPush, isBusy, hasUploaded, speedIsMeasured, ggep: hit.trailer.ggep },
    });
  },
  push: (frame) => {
    const push = valueOf(decodePush(frame, HEADER_BYTES, frame.length));
    assert.deepEqual(push, { serventGuid: SERVENT, fileIndex: 7, ip: IP, port: 6346, acceptsTls: false, ggep: [] });
    assert.deepEqual(pushAddress(push), { host: '203.0.113.7', port: 6346 });
    return encodePush(envelopeOf(frame), push);
  },
  push_fw2fw_tls: (frame) => {
    const push = valueOf(decodePush(frame, HEADER_BYTES, frame.length));
    assert.deepEqual([push.fileIndex, push.acceptsTls], [0x7ffffffd, true]);
    return encodePush(envelopeOf(frame), push);
  },
  bye_503: (frame) => {
    const bye = valueOf(decodeBye(frame, HEADER_BYTES, frame.length));
    assert.deepEqual(bye, {
      code: ByeCode.NO_SLOT,
      message: 'Servent closing',
      headers: new Map([['server', 'X/1.0']]),
    });
    return encodeBye(envelopeOf(frame).guid, bye.code, bye.message, { Server: 'X/1.0' });
  },
  vm_messages_supported: (frame) => {
    const { bodyStart, bodyEnd, name } = vendorOf(frame);
    assert.equal(name, 'MESSAGES_SUPPORTED');
    const messages = valueOf(decodeMessagesSupported(frame, bodyStart, bodyEnd));
    assert.deepEqual(messages.map(selectorKey), [
      'BEAR/4v1',
      'BEAR/7v1',
      'BEAR/11v1',
      'BEAR/12v1',
      'GTKG/7v2',
      'LIME/11v3',
      'LIME/12v3',
      'LIME/21v1',
      'LIME/22v2',
    ]);
    return encodeMessagesSupported(messages);
  },
  vm_features_supported: (frame) => {
    const { bodyStart, bodyEnd, name } = vendorOf(frame);
    assert.equal(name, 'FEATURES_SUPPORTED');
    const features = valueOf(decodeFeaturesSupported(frame, bodyStart, bodyEnd));
    assert.deepEqual(
      features.map((feature) => `${feature.name}/${feature.version}`),
      ['HSEP/1', 'WHAT/1', 'F2FT/65535', 'TCPI/1', 'TLS!/1'],
    );
    return encodeFeaturesSupported(features);
  },
  vm_hops_flow_0: (frame) => {
    const { bodyStart, bodyEnd, name } = vendorOf(frame);
    assert.equal(name, 'HOPS_FLOW');
    assert.equal(valueOf(decodeHopsFlow(frame, bodyStart, bodyEnd)), 0);
    return encodeHopsFlow(0);
  },
  vm_tcp_connect_back: (frame) => {
    const { bodyStart, bodyEnd, name } = vendorOf(frame);
    assert.equal(name, 'TCP_CONNECT_BACK');
    assert.equal(valueOf(decodeTcpConnectBack(frame, bodyStart, bodyEnd)), 6346);
    return encodeTcpConnectBack(6346);
  },
  vm_udp_connect_back_v1: (frame) => {
    const { bodyStart, bodyEnd, version } = vendorOf(frame);
    const request = valueOf(decodeUdpConnectBack(frame, bodyStart, bodyEnd, version, 0));
    assert.deepEqual(request, { port: 6346, pingGuid: SERVENT });
    return encodeUdpConnectBack(request.port, request.pingGuid, 1);
  },
  vm_qstat_req: (frame) => {
    assert.equal(vendorOf(frame).name, 'QUERY_STATUS_REQUEST');
    return encodeQueryStatusRequest(OOB_QUERY);
  },
  vm_qstat_resp: (frame) => {
    const { bodyStart, bodyEnd, name } = vendorOf(frame);
    assert.equal(name, 'QUERY_STATUS_RESPONSE');
    assert.equal(valueOf(decodeQueryStatusResponse(frame, bodyStart, bodyEnd)), 42);
    return encodeQueryStatusResponse(OOB_QUERY, 42);
  },
  vm_oob_reply_ind_v3: (frame) => {
    const { bodyStart, bodyEnd, version } = vendorOf(frame);
    const indication = valueOf(decodeOobIndication(frame, bodyStart, bodyEnd, version));
    assert.deepEqual(indication, { hits: 5, canReceiveUnsolicited: true });
    return encodeOobIndication(OOB_QUERY, indication);
  },
  vm_oob_ack_v3: (frame) => {
    const { bodyStart, bodyEnd, version } = vendorOf(frame);
    const claim = valueOf(decodeOobClaim(frame, bodyStart, bodyEnd, version));
    assert.deepEqual(claim, { wanted: 5, token: hexBytes('9f01c3aa') });
    return encodeOobClaim(OOB_QUERY, claim, true);
  },
  vm_push_proxy_req: (frame) => {
    assert.equal(vendorOf(frame).name, 'PUSH_PROXY_REQUEST_1');
    return encodePushProxyRequest(SERVENT, 1);
  },
  vm_push_proxy_ack_v2: (frame) => {
    const { bodyStart, bodyEnd, version } = vendorOf(frame);
    const ack = valueOf(decodePushProxyAck(frame, bodyStart, bodyEnd, version));
    assert.deepEqual(ack, { ip: ipv4FromText('192.0.2.10'), port: 6346 });
    return encodePushProxyAck(SERVENT, ack);
  },
  vm_crawler_ping: (frame) => {
    const { bodyStart, bodyEnd, name } = vendorOf(frame);
    assert.equal(name, 'CRAWLER_PING');
    const ping = valueOf(decodeCrawlerPing(frame, bodyStart, bodyEnd));
    assert.deepEqual(ping, { ultrapeers: 255, leaves: 255, features: 0x09 });
    return encodeCrawlerPing(MESSAGE, ping);
  },
  vm_crawler_pong_gtkg: (frame) => runCrawlerPong(frame, 'gtk-gnutella'),
  vm_crawler_pong_lw: (frame) => runCrawlerPong(frame, 'limewire'),
  vm_head_ping_v2: (frame) => {
    const { bodyStart, bodyEnd, name } = vendorOf(frame);
    assert.equal(name, 'HEAD_PING');
    const ping = valueOf(decodeHeadPing(frame, bodyStart, bodyEnd));
    const sha1 = asSha1(hexBytes('a9993e364706816aba3e25717850c26c9cd0d89d'));
    assert.deepEqual(ping, { flags: 0x12, sha1, targetGuid: SERVENT });
    return encodeHeadPing(MESSAGE, ping);
  },
  vm_head_pong_v2: (frame) => {
    const { bodyStart, bodyEnd, version } = vendorOf(frame);
    const pong = valueOf(decodeHeadPong(frame, bodyStart, bodyEnd, version));
    assert.deepEqual(pong, {
      availability: 'complete',
      isFirewalled: false,
      isDownloading: false,
      vendor: 'GTKG',
      queue: -2,
      takesTls: true,
      ranges: [],
      alternates: [{ host: '198.51.100.1', port: 6346 }],
    });
    return encodeHeadPong(MESSAGE, pong);
  },
  vm_time_sync_req: (frame) => {
    const { bodyStart, bodyEnd, name } = vendorOf(frame);
    assert.equal(name, 'TIME_SYNC_REQUEST');
    const request = valueOf(decodeTimeSyncRequest(frame, bodyStart, bodyEnd, 0));
    assert.deepEqual(request, { sentAt: { seconds: 1_100_000_000, microseconds: 500 }, clockUnderNtp: true });
    return encodeTimeSyncRequest(request);
  },
  hsep_leaf: (frame) => {
    const triples = valueOf(decodeHsep(frame, HEADER_BYTES, frame.length));
    assert.deepEqual(triples, [{ nodes: 1, files: 150, kib: 1024 }]);
    return encodeHsep(MESSAGE, triples);
  },
  // Recognised by its function code and dropped: there is no DHT here.
  dht_ping: (frame) => {
    assert.equal(envelopeOf(frame).descriptor, Descriptor.DHT);
    return undefined;
  },
};

describe('messages: vectors', () => {
  for (const { name } of vectorsOfKind('message')) {
    // RESET and PATCH belong to the tests of qrp.
    if (name.startsWith('qrp_')) continue;
    it(`decodes ${name} and encodes it to the same bytes`, () => {
      const frame = frameOf(name);
      const run = runs[name];
      assert.ok(run, `no test for ${name}`);
      const encoded = run(frame);
      if (encoded !== undefined) assert.equal(hexOf(encoded), hexOf(frame));
    });
  }
});

/** Deflate output may differ from the vector's: what is written is read back instead, and the rest compared. */
function runCrawlerPong(frame: Uint8Array, form: 'limewire' | 'gtk-gnutella'): undefined {
  const { bodyStart, bodyEnd, name } = vendorOf(frame);
  assert.equal(name, 'CRAWLER_PONG');
  const pong = valueOf(decodeCrawlerPong(frame, bodyStart, bodyEnd));
  assert.deepEqual(pong, {
    features: 0x09,
    ultrapeers: [
      { address: { host: '198.51.100.1', port: 6346 }, connectedMinutes: 90 },
      { address: { host: '198.51.100.2', port: 53_217 }, connectedMinutes: 5 },
    ],
    leaves: [{ address: { host: '198.51.100.77', port: 6346 }, connectedMinutes: 600 }],
    userAgents: ['Example/1.0', 'gtk-gnutella/1.2.2 (x; y)', 'Shareaza\\2'],
  });
  const encoded = encodeCrawlerPong(MESSAGE, pong, form);
  const fixedBytes = bodyStart + 3 + 3 * 8;
  assert.equal(hexOf(encoded.subarray(23, fixedBytes)), hexOf(frame.subarray(23, fixedBytes)));
  const again = vendorOf(encoded);
  assert.deepEqual(valueOf(decodeCrawlerPong(encoded, again.bodyStart, again.bodyEnd)), pong);
}
