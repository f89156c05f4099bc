import { searchV1, type transfersV1 } from '@filbert/contracts';
import { callStream, formatHostPort } from '@filbert/kit';
import { CALL_TIMEOUT_MS, type Client } from '../control/control-client.ts';
import { untilAborted } from '../commands/interruption.ts';

/** The network is searched for sources this long at most, in ms. */
export const SOURCE_SEARCH_MS = 20_000;
/** The search ends this long after the first source, in ms: most answers come together. */
const FURTHER_SOURCES_MS = 3_000;
/** It ends with so many. */
const ENOUGH_SOURCES = 20;

/** Who has a file. */
export interface FoundSources {
  readonly sources: readonly transfersV1.DownloadSource[];
  /** What most of them call it; empty without any. */
  readonly name: string;
}

/**
 * Searches the network for a file by its hash, until there are enough sources, none comes any more, or the signal aborts.
 * The sizes that sources tell are left out: whoever lies of it must not decide it, and the download finds out itself.
 * @param query `urn:sha1:…`, or a magnet link with the hash
 * @throws RpcError
 */
export async function findSources(
  client: Client,
  query: string,
  { signal, onSource }: { readonly signal: AbortSignal; readonly onSource: (count: number) => void },
): Promise<FoundSources> {
  const sources: transfersV1.DownloadSource[] = [];
  let name = '';
  const settled = new AbortController();
  let timer: NodeJS.Timeout | undefined;
  const ended = AbortSignal.any([signal, settled.signal]);
  const found = callStream(
    client,
    searchV1.SearchServiceService.search,
    { query, enough: ENOUGH_SOURCES, timeoutMs: SOURCE_SEARCH_MS },
    { timeoutMs: SOURCE_SEARCH_MS + CALL_TIMEOUT_MS, signal: ended },
  );
  try {
    for await (const { file, source } of untilAborted(found, ended)) {
      if (source === undefined) continue;
      name = file?.name ?? name;
      sources.push({
        address: source.address === '' ? '' : formatHostPort({ host: source.address, port: source.port }),
        serventGuid: source.servent,
        index: source.index,
        firewalled: source.firewalled,
      });
      onSource(sources.length);
      if (sources.length >= ENOUGH_SOURCES) break;
      timer ??= setTimeout(() => settled.abort(), FURTHER_SOURCES_MS);
    }
  } finally {
    clearTimeout(timer);
  }
  return { sources, name };
}
