import { startSpan } from '@filbert/kit';
import type { PeerAddress } from '@filbert/gnutella';
import type { BlameReason, TransfersCounters } from '../counters.ts';
import type { Bandwidth } from '../http/bandwidth.ts';
import { Connection } from '../network/connection.ts';
import { dial } from '../network/dial.ts';
import type { PushClient } from './push-client.ts';
import type { Source, SourceFacts } from './source.ts';
import { runSession, type SessionDownload, type SessionEnd } from './source-session.ts';
import type { DownloadTimings } from './timings.ts';

export interface FetchOptions {
  readonly download: SessionDownload;
  readonly source: Source;
  readonly pushes: PushClient;
  readonly bandwidth: Bandwidth;
  readonly timings: DownloadTimings;
  readonly counters: TransfersCounters;
  readonly ownAddress: () => PeerAddress | undefined;
  readonly signal: AbortSignal;
}

/** Reaches a source and fetches from it what is left to fetch, as one span of the download's trace. @throws DiskError */
export async function fetchFromSource(options: FetchOptions): Promise<SessionEnd> {
  const { source } = options;
  const span = startSpan('fetch from source', { kind: 'client' });
  const bytesBefore = source.bytes;
  try {
    const end = await span.run(() => fetch(options));
    span.setAttributes({ result: end.kind === 'blamed' ? end.reason : end.kind });
    return end;
  } catch (error) {
    span.fail(error);
    throw error;
  } finally {
    span.setAttributes({ bytes: source.bytes - bytesBefore });
    span.end();
  }
}

async function fetch(options: FetchOptions): Promise<SessionEnd> {
  const { download, source, bandwidth, timings, signal, counters, ownAddress } = options;
  const connection = await reach(source.facts, options);
  if (typeof connection === 'string') return { kind: 'blamed', reason: connection };
  return runSession({
    download,
    source,
    connection,
    bandwidth,
    timings,
    signal,
    firstByte: counters.downloadFirstByte,
    ownAddress: ownAddress(),
  });
}

/** A connection to the source: dialled where it takes any, else by a PUSH and its GIV; or what to hold against it. */
async function reach(
  { address, serventGuid, index, firewalled }: SourceFacts,
  { pushes, timings, signal }: FetchOptions,
): Promise<Connection | BlameReason> {
  if (address !== undefined && !firewalled) {
    const socket = await dial(address, timings.connectMs, signal);
    if (socket !== undefined) return new Connection(socket, address);
  }
  if (serventGuid === undefined || signal.aborted) return 'unreachable';
  const pushed = await pushes.connect(serventGuid, index, timings.givMs, signal);
  // One that should have taken connections is held to that.
  return typeof pushed === 'string' && !firewalled ? 'unreachable' : pushed;
}
