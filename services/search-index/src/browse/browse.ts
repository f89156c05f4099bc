import type { LibraryBrowseReply, LibraryLookupReply, LibraryLookupRequest } from '@filbert/contracts';
import type { Library } from '../catalogue/library.ts';
import type { SharedFile } from '../catalogue/shared-file.ts';
import { hitFrames } from '../hits/hit-frames.ts';
import type { HitSource } from '../hits/node-address.ts';

/** Files on one page of a browse-host listing. */
export const FILES_PER_PAGE = 200;

/**
 * One page of the library as QUERY HIT frames, in order of index (docs/protocol/08-push-and-transfers.md §7). The offset
 * of a page is the index of the last file of the page before, so that a library which changes meanwhile leaves nothing out.
 * @param guid of the frames, 16 bytes; it means nothing
 */
export function browsePage(library: Library, offset: number, source: HitSource, guid: Uint8Array): LibraryBrowseReply {
  const files = library.inOrder();
  const first = firstAfter(files, offset);
  const page = files.slice(first, first + FILES_PER_PAGE);
  const frames = [...hitFrames(page, source, { guid, ttl: 1 })];
  const hasMore = first + page.length < files.length;
  return { frames: Buffer.concat(frames), nextOffset: hasMore ? (page.at(-1)?.index ?? 0) : 0 };
}

/** Files with an index above `index`, `most` of them. */
export function filesAfter(library: Library, index: number, most: number): readonly SharedFile[] {
  const files = library.inOrder();
  const first = firstAfter(files, index);
  return files.slice(first, first + most);
}

/**
 * Answers transfers: a file by hash or index; undefined where this shard does not have it, so that another may answer.
 * @param folderOf the share folder that a path lies in
 */
export function lookUp(
  library: Library,
  request: LibraryLookupRequest,
  folderOf: (path: string) => string | undefined,
): LibraryLookupReply | undefined {
  const file = request.sha1.length > 0 ? library.bySha1(request.sha1) : library.byIndex(request.index);
  if (file === undefined) return undefined;
  return {
    found: true,
    index: file.index,
    name: file.name,
    size: file.sizeBytes,
    sha1: file.sha1,
    path: file.path,
    modifiedAtMs: file.modifiedMs,
    shareFolder: folderOf(file.path) ?? '',
  };
}

function firstAfter(files: readonly SharedFile[], index: number): number {
  let low = 0;
  let high = files.length;
  while (low < high) {
    const middle = (low + high) >>> 1;
    if ((files[middle] as SharedFile).index <= index) low = middle + 1;
    else high = middle;
  }
  return low;
}
