import { searchV1 } from '@filbert/contracts';
import { base32Encode, formatPeerAddress, guidToHex, parseSha1Urn, sha1FromBase32 } from '@filbert/gnutella';
import { RpcError, rpcService, type RpcService, type Timers } from '@filbert/kit';
import { filesAfter } from './browse/browse.ts';
import type { SharedFile } from './catalogue/shared-file.ts';
import { isWithin } from './scan/share-folders.ts';
import type { SearchIndex } from './search-index.ts';
import { byFrequency, type Found } from './search/found-files.ts';

/** Progress is told this often, in ms. */
const PROGRESS_INTERVAL_MS = 250;
/** Files that a browse takes from the library at one time. */
const FILES_PER_STEP = 500;

type Parts = NonNullable<SearchIndex['parts']>;

/** gRPC control of search-index. */
export function searchIndexControl(index: SearchIndex, timers: Timers): RpcService {
  const parts = (): Parts => {
    if (index.parts === undefined) throw new RpcError('unavailable', 'the library is not open yet');
    return index.parts;
  };
  return rpcService(searchV1.SearchServiceService, {
    async *search({ query, enough, timeoutMs }, { signal }) {
      const found = parts().searches.search({ query, enough, timeoutMs, signal });
      try {
        for (;;) {
          const next = await found.next();
          if (next.done === true) {
            const isEnough = next.value === 'enough';
            const end = isEnough ? searchV1.SearchEnd.SEARCH_END_ENOUGH : searchV1.SearchEnd.SEARCH_END_TIMEOUT;
            yield { file: undefined, source: undefined, end };
            return;
          }
          yield searchResponse(next.value);
        }
      } finally {
        await found.return('timeout');
      }
    },
    lookUp({ sha1, index: fileIndex }) {
      const hash = sha1 === '' ? undefined : (sha1FromBase32(sha1) ?? parseSha1Urn(sha1));
      if (sha1 !== '' && hash === undefined) throw new RpcError('invalid-argument', `"${sha1}" is no SHA-1 in base32`);
      const { library } = parts();
      const file = hash === undefined ? library.byIndex(fileIndex) : library.bySha1(hash);
      return { found: file !== undefined, file: file && describeFile(file) };
    },
    // eslint-disable-next-line @typescript-eslint/require-await -- a stream is an async generator, also where nothing waits
    async *browse({ afterIndex }) {
      const { library } = parts();
      let last = afterIndex;
      for (;;) {
        const files = filesAfter(library, last, FILES_PER_STEP);
        if (files.length === 0) return;
        for (const file of files) yield { file: describeFile(file) };
        last = files.at(-1)?.index ?? last;
      }
    },
    getStats() {
      const { library, link, searches } = parts();
      const { queries } = link.counters;
      return {
        files: library.size,
        bytes: library.bytes,
        words: library.names.words,
        queries: Object.values(queries).reduce((sum, count) => sum + count, 0),
        queriesAnswered: queries.answered,
        searches: searches.counters.searches,
        progress: progressOf(parts()),
      };
    },
    async *rescan(_, { signal }) {
      const { scanner, pool } = parts();
      let isScanned = false;
      void scanner.rescan().then(() => (isScanned = true));
      while (!signal.aborted && !(isScanned && pool.isIdle)) {
        yield { progress: progressOf(parts()) };
        await new Promise<void>((resolve) => timers.setTimeout(resolve, PROGRESS_INTERVAL_MS));
      }
      yield { progress: progressOf(parts()) };
    },
    async addShare({ path }) {
      const { shares, catalogue, scanner } = parts();
      const verdict = await shares.judge(path);
      if ('problem' in verdict) return { added: false, reason: verdict.problem };
      catalogue.addShare(verdict.realPath, Date.now());
      shares.add(verdict.realPath);
      void scanner.rescan();
      return { added: true, reason: '' };
    },
    async removeShare({ path }) {
      const { shares, catalogue, scanner } = parts();
      const verdict = await shares.remove(path);
      if ('problem' in verdict) return { removed: false, reason: verdict.problem };
      catalogue.removeShare(verdict.removed);
      void scanner.rescan();
      return { removed: true, reason: '' };
    },
    // eslint-disable-next-line @typescript-eslint/require-await -- as above
    async *listShares() {
      const { shares, library } = parts();
      for (const { path, realPath, state, configured } of shares.all()) {
        let files = 0;
        let bytes = 0;
        for (const file of library.all()) {
          if (realPath === undefined || !isWithin(file.path, realPath)) continue;
          files++;
          bytes += file.sizeBytes;
        }
        yield { path, state: state === 'waiting' ? 'not yet seen' : state, files, bytes, configured };
      }
    },
  });
}

function searchResponse({ file, source }: Found): searchV1.SearchResponse {
  const [name = source.name, ...otherNames] = byFrequency(file.names);
  const [size = source.sizeBytes, ...otherSizes] = byFrequency(file.sizes);
  return {
    file: {
      sha1: file.sha1 === undefined ? '' : base32Encode(file.sha1),
      name,
      otherNames,
      size,
      otherSizes,
      sources: file.sources,
    },
    source: {
      name: source.name,
      size: source.sizeBytes,
      index: source.index,
      servent: guidToHex(source.serventGuid),
      address: source.address?.host ?? '',
      port: source.address?.port ?? 0,
      firewalled: source.firewalled,
      pushProxies: source.pushProxies.map(formatPeerAddress),
      busy: source.busy,
      vendor: source.vendor,
      hops: source.hops,
    },
    end: searchV1.SearchEnd.SEARCH_END_UNSPECIFIED,
  };
}

function describeFile(file: SharedFile): searchV1.SharedFile {
  return {
    index: file.index,
    name: file.name,
    size: file.sizeBytes,
    sha1: base32Encode(file.sha1),
    path: file.path,
    modifiedAtMs: file.modifiedMs,
    addedAtMs: file.addedMs,
  };
}

function progressOf({ scanner, pool }: Parts): searchV1.Progress {
  const { filesTotal, filesDone, bytesTotal, bytesDone } = pool.progress;
  return {
    scanning: scanner.isScanning,
    foldersSeen: scanner.seen.folders,
    filesSeen: scanner.seen.files,
    hashFilesTotal: filesTotal,
    hashFilesDone: filesDone,
    hashBytesTotal: bytesTotal,
    hashBytesDone: bytesDone,
    leftOut: Object.entries(scanner.leftOut).flatMap(([reason, count]) => (count === 0 ? [] : [{ reason, count }])),
  };
}
