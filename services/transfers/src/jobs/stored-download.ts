import { jobsV1 } from '@filbert/contracts';
import { asSha1, formatPeerAddress, guidFromHex, guidToHex, parsePeerAddress, SHA1_BYTES } from '@filbert/gnutella';
import type { Range } from '../download/range-set.ts';
import type { SourceFacts } from '../download/source.ts';
import { STORED_STATES, type StoredJob } from './job-store.ts';

/** Contributors of one download that its record names; of more it is known only that they are many. */
export const MAX_STORED_CONTRIBUTORS = 1_000;
/** Longest reason in a record, in characters. */
export const MAX_STORED_REASON_CHARS = 1_000;

/** Whose a job is. */
export interface JobOwner {
  readonly worker: string;
  /** The run of that worker; empty where it has put the download away in order. */
  readonly holder: string;
  /** Id of the downloads folder that the bytes lie in. */
  readonly folder: string;
}

/** A job in the store, with whose it is. */
export interface OwnedJob {
  readonly owner: JobOwner;
  readonly job: StoredJob;
}

/** The record of a job. */
export function encodeJob(job: StoredJob, owner: JobOwner): Uint8Array {
  const { sha1, sizeBytes, ranges, sources, contributors, reason, ...rest } = job;
  return jobsV1.StoredDownload.encode({
    ...rest,
    ...owner,
    sha1,
    ...(sizeBytes === undefined ? {} : { sizeBytes }),
    rangeBounds: ranges.flatMap(({ start, end }) => [start, end]),
    sources: sources.map(({ address, serventGuid, index, firewalled }) => ({
      address: address === undefined ? '' : formatPeerAddress(address),
      serventGuid: serventGuid === undefined ? '' : guidToHex(serventGuid),
      index,
      firewalled,
    })),
    contributors: contributors.slice(0, MAX_STORED_CONTRIBUTORS),
    reason: reason.slice(0, MAX_STORED_REASON_CHARS),
  }).finish();
}

/** The job of a record; undefined for one that nobody of ours wrote. */
export function decodeJob(bytes: Uint8Array): OwnedJob | undefined {
  let record: jobsV1.StoredDownload;
  try {
    record = jobsV1.StoredDownload.decode(bytes);
  } catch {
    return undefined;
  }
  const { id, worker, holder, folder, sha1, state: named, rangeBounds, sources, sizeBytes, ...rest } = record;
  const state = STORED_STATES.find((known) => known === named);
  if (state === undefined || id === '' || worker === '' || sha1.length !== SHA1_BYTES) return undefined;
  // A name is a path's last part: what could lead out of the folder is not of ours.
  if (rest.name === '' || /[/\0]/.test(rest.name + rest.part)) return undefined;
  return {
    owner: { worker, holder, folder },
    job: {
      ...rest,
      id,
      state,
      sha1: asSha1(new Uint8Array(sha1)),
      sizeBytes,
      ranges: rangesOf(rangeBounds),
      sources: sources.flatMap((source) => sourceOf(source) ?? []),
    },
  };
}

function rangesOf(bounds: readonly number[]): Range[] {
  return Array.from({ length: bounds.length >>> 1 }, (_, i) => ({
    start: bounds[2 * i] ?? 0,
    end: bounds[2 * i + 1] ?? 0,
  }));
}

function sourceOf(source: jobsV1.StoredDownload['sources'][number]): SourceFacts | undefined {
  const address = source.address === '' ? undefined : parsePeerAddress(source.address);
  const serventGuid = source.serventGuid === '' ? undefined : guidFromHex(source.serventGuid);
  if (address === undefined && serventGuid === undefined) return undefined;
  return { address, serventGuid, index: source.index, firewalled: source.firewalled };
}
