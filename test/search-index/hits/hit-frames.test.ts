import assert from 'node:assert/strict';
import fc from 'fast-check';
import {
  asGuid,
  decodeQueryHit,
  findGgepValue,
  GgepId,
  hitAddress,
  HEADER_BYTES,
  MAX_RECORDS_PER_HIT,
  payloadLength,
  TTL_OFFSET,
  vlintDecode,
  type QueryHit,
} from '@filbert/gnutella';
import type { SharedFile } from '../../../services/search-index/src/catalogue/shared-file.ts';
import { hitFrames, hitTtl, MAX_HIT_RECORD_BYTES } from '../../../services/search-index/src/hits/hit-frames.ts';
import { NodeAddress, type HitSource } from '../../../services/search-index/src/hits/node-address.ts';
import { judgeHit } from '../../../services/search-index/src/search/judge-hit.ts';
import { someFacts } from '../../support/frame-bench.ts';
import { sha1Of } from '../support.ts';

const GUID = asGuid(Buffer.from('0102030405060708ff0a0b0c0d0e0f00', 'hex'));
const SOURCE: HitSource = {
  serventGuid: Buffer.from('a1b2c3d4e5f60718ff293a4b5c6d7e00', 'hex'),
  address: { host: '8.9.10.11', port: 6346 },
  isFirewalled: false,
  isBusy: false,
  hasUploaded: true,
};

function file(index: number, name: string, changes: Partial<SharedFile> = {}): SharedFile {
  const path = `/share/${name}`;
  return {
    index,
    name,
    path,
    sizeBytes: 1000,
    modifiedMs: 1,
    addedMs: 1_700_000_000_000,
    sha1: sha1Of(path),
    ...changes,
  };
}

function decode(frame: Uint8Array): QueryHit {
  assert.equal(payloadLength(frame, 0), frame.length - HEADER_BYTES);
  const decoded = decodeQueryHit(frame, HEADER_BYTES, frame.length);
  assert.ok(decoded.ok, decoded.ok ? '' : decoded.reason);
  return decoded.value;
}

function hits(files: readonly SharedFile[], source = SOURCE): QueryHit[] {
  return [...hitFrames(files, source, { guid: GUID, ttl: 6 })].map(decode);
}

describe('search-index: hits', () => {
  it('say where the file is, whose it is and what it is', () => {
    const [frame] = hitFrames([file(7, 'Ein Lied.ogg')], SOURCE, { guid: GUID, ttl: 6 });
    assert.ok(frame);
    assert.deepEqual(Buffer.from(frame.subarray(0, 16)), Buffer.from(GUID));
    assert.equal(frame[TTL_OFFSET], 6);
    const hit = decode(frame);
    assert.deepEqual(hitAddress(hit), SOURCE.address);
    assert.deepEqual(Buffer.from(hit.serventGuid), Buffer.from(SOURCE.serventGuid));
    const { trailer } = hit;
    assert.ok(trailer);
    assert.deepEqual(
      [trailer.vendor, trailer.needsPush, trailer.isBusy, trailer.hasUploaded],
      ['FLBT', false, false, true],
    );
    assert.ok(findGgepValue(trailer.ggep, GgepId.BROWSE_HOST));
    const [record] = hit.records;
    assert.ok(record);
    assert.deepEqual([record.index, record.name, record.sizeBytes], [7, 'Ein Lied.ogg', 1000]);
    assert.deepEqual(Buffer.from(record.sha1 ?? []), Buffer.from(sha1Of('/share/Ein Lied.ogg')));
    assert.equal(vlintDecode(findGgepValue(record.ggep, GgepId.CREATION_TIME) ?? new Uint8Array()), 1_700_000_000);
  });

  it('carry the size of a file of 5 GiB', () => {
    const sizeBytes = 5 * 2 ** 30 + 1;
    assert.equal(hits([file(1, 'big.iso', { sizeBytes })])[0]?.records[0]?.sizeBytes, sizeBytes);
  });

  it('carry an IPv6 address in GGEP', () => {
    const address = { host: '2001:67c::1', port: 6346 };
    const [hit] = hits([file(1, 'a.txt')], { ...SOURCE, address });
    assert.ok(hit);
    assert.deepEqual(hitAddress(hit), address);
  });

  it('ask for a PUSH where the node is firewalled, and name no address where none is known', () => {
    const source = { ...SOURCE, address: undefined, isFirewalled: true };
    const [frame] = hitFrames([file(1, 'a.ogg')], source, { guid: GUID, ttl: 6 });
    assert.ok(frame);
    const hit = decode(frame);
    assert.equal(hit.trailer?.needsPush, true);
    assert.equal(hitAddress(hit), undefined);
    const judged = judgeHit(hit, GUID, 0, { allowPrivate: false });
    assert.ok(judged.verdict === 'good');
    assert.deepEqual([judged.origin.address, judged.origin.firewalled], [undefined, true]);
  });

  it('say nothing of slots where no worker told of any', () => {
    assert.equal(hits([file(1, 'a.txt')], { ...SOURCE, isBusy: undefined })[0]?.trailer?.isBusy, undefined);
  });

  it('never name a hash twice in one frame', () => {
    const sha1 = sha1Of('same');
    const found = hits([file(1, 'a.txt', { sha1 }), file(2, 'b.txt', { sha1 }), file(3, 'c.txt')]);
    assert.deepEqual(
      found.map(({ records }) => records.map(({ index }) => index)),
      [[1], [2, 3]],
    );
  });

  it('hold every file once, at most ten and about 2 KiB a frame, and pass the checks for spam', () => {
    const name = fc
      .string({ unit: 'grapheme', minLength: 1, maxLength: 80 })
      .filter((text) => !/[\0/\\]|^\.+$/.test(text));
    fc.assert(
      fc.property(fc.array(name, { minLength: 1, maxLength: 40 }), (names) => {
        const files = names.map((each, at) => file(at + 1, each, { sha1: sha1Of(`${at}`) }));
        const found = hits(files);
        assert.deepEqual(
          found.flatMap(({ records }) => records.map((record) => record.name)),
          names.map((each) => each.toWellFormed()),
        );
        for (const hit of found) {
          const bytes = hit.records.reduce((sum, { raw }) => sum + raw.length, 0);
          assert.ok(
            hit.records.length <= MAX_RECORDS_PER_HIT && (bytes <= MAX_HIT_RECORD_BYTES || hit.records.length === 1),
          );
          // A name such as %2e%2e/x is refused by those who ask, and is no fault of the frame.
          const { verdict } = judgeHit(hit, GUID, 0, { allowPrivate: false });
          assert.ok(
            verdict === 'good' || (verdict === 'bad-name' && hit.records.some((each) => each.name.includes('%'))),
          );
        }
      }),
      { numRuns: 60 },
    );
  });

  it('cross as many links as the query did and five more, at most fifteen', () => {
    assert.deepEqual([0, 3, 10, 200].map(hitTtl), [5, 8, 15, 15]);
  });
});

describe('search-index: address of hits', () => {
  let nowMs: number;
  let address: NodeAddress;

  beforeEach(() => {
    nowMs = 0;
    address = new NodeAddress({ monotonic: () => nowMs });
  });
  function worker(workerId: string, freeSlots: number, changes: { uploads?: number; draining?: boolean } = {}): void {
    const told = { uploads: 0, draining: false, ...changes };
    address.setTransfers({ workerId, internalAddress: '', publicAddress: '', freeSlots, ...told });
  }

  it('is that of transfers, else the advertised one, else the learned one, else none', () => {
    assert.equal(address.source(), undefined);
    address.setFacts(someFacts());
    assert.equal(address.source()?.address, undefined);
    const learned = { learnedAddress: '127.0.0.1:6346' };
    address.setFacts(someFacts(learned));
    assert.equal(address.source()?.address?.port, 6346);
    address.setFacts(someFacts({ ...learned, advertisedAddress: '8.8.8.8:7000' }));
    assert.equal(address.source()?.address?.port, 7000);
    address.setFacts(someFacts({ ...learned, advertisedAddress: '8.8.8.8:7000', transfersAddress: '8.8.8.8:8000' }));
    assert.equal(address.source()?.address?.port, 8000);
  });

  it('is never one that nobody can dial', () => {
    address.setFacts(someFacts({ transfersAddress: '0.0.0.0:8000', advertisedAddress: '[::]:7000' }));
    assert.equal(address.source()?.address, undefined);
    address.setFacts(someFacts({ transfersAddress: '0.0.0.0:8000', learnedAddress: '8.8.8.8:7000' }));
    assert.deepEqual(address.source()?.address, { host: '8.8.8.8', port: 7000 });
  });

  it('is marked firewalled while none is known, or nobody is known to reach it', () => {
    address.setFacts(someFacts());
    assert.equal(address.source()?.isFirewalled, true);
    address.setFacts(someFacts({ learnedAddress: '8.8.8.8:7000', firewalled: true }));
    assert.equal(address.source()?.isFirewalled, true);
    address.setFacts(someFacts({ learnedAddress: '8.8.8.8:7000', firewalled: false }));
    assert.equal(address.source()?.isFirewalled, false);
  });

  it('is busy while no worker that lives has a free slot', () => {
    address.setFacts(someFacts());
    assert.equal(address.source()?.isBusy, undefined);
    worker('a', 0);
    assert.equal(address.source()?.isBusy, true);
    worker('b', 3);
    assert.equal(address.source()?.isBusy, false);
    worker('b', 3, { draining: true });
    assert.equal(address.source()?.isBusy, true);
    nowMs += 60_000;
    assert.equal(address.source()?.isBusy, undefined);
  });

  it('has uploaded once a worker had an upload', () => {
    address.setFacts(someFacts());
    assert.equal(address.source()?.hasUploaded, false);
    worker('a', 1, { uploads: 1 });
    worker('a', 1);
    assert.equal(address.source()?.hasUploaded, true);
  });
});
