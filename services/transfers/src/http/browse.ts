// Browse host: the library as query hits, or as a page for people (docs/protocol/08-push-and-transfers.md §7).
import { decodeQueryHit, Descriptor, formatSha1Urn, HEADER_BYTES, payloadLength } from '@filbert/gnutella';
import type { LibraryLookup } from '../library.ts';

/** Pages of one listing; a library that is larger is cut there. */
export const MAX_BROWSE_PAGES = 10_000;

export const PACKETS_TYPE = 'application/x-gnutella-packets';
const HTML_TYPE = 'text/html';

/** What a client wants by its Accept header; undefined: nothing that we have. */
export function browseType(accept: string | undefined): 'packets' | 'html' | undefined {
  const types = (accept ?? '')
    .toLowerCase()
    .split(',')
    .map((type) => type.split(';')[0]?.trim() ?? '');
  if (types.includes(PACKETS_TYPE)) return 'packets';
  return types.some((type) => type === HTML_TYPE || type === 'text/*' || type === '*/*') ? 'html' : undefined;
}

/** The pages of the library, each as bytes of the body. Ends early where the library does not answer. */
export async function* browseBody(library: LibraryLookup, type: 'packets' | 'html'): AsyncGenerator<Uint8Array> {
  if (type === 'html') yield Buffer.from(HTML_HEAD);
  let offset = 0;
  for (let page = 0; page < MAX_BROWSE_PAGES; page++) {
    const reply = await library.browse(offset);
    if (reply === undefined) break;
    if (reply.frames.length > 0) yield type === 'packets' ? reply.frames : Buffer.from(htmlRows(reply.frames));
    // Only forwards: a page that leads back would never end.
    if (reply.nextOffset <= offset) break;
    offset = reply.nextOffset;
  }
  if (type === 'html') yield Buffer.from(HTML_TAIL);
}

const HTML_HEAD =
  '<!doctype html><html><head><meta charset="utf-8"><title>Shared files</title></head><body><h1>Shared files</h1><ul>\n';
const HTML_TAIL = '</ul></body></html>\n';

function htmlRows(frames: Uint8Array): string {
  let rows = '';
  let at = 0;
  while (at + HEADER_BYTES <= frames.length) {
    const end = at + HEADER_BYTES + payloadLength(frames, at);
    if (end > frames.length) break;
    const hit = frames[at + 16] === Descriptor.QUERY_HIT ? decodeQueryHit(frames, at + HEADER_BYTES, end) : undefined;
    for (const record of hit?.ok === true ? hit.value.records : []) {
      const target =
        record.sha1 === undefined
          ? `/get/${record.index}/${encodeURIComponent(record.name.toWellFormed())}`
          : `/uri-res/N2R?${formatSha1Urn(record.sha1)}`;
      rows += `<li><a href="${target}">${escapeHtml(record.name)}</a> ${record.sizeBytes} bytes</li>\n`;
    }
    at = end;
  }
  return rows;
}

function escapeHtml(text: string): string {
  return text.replace(/[&<>"']/g, (character) => `&#${character.charCodeAt(0)};`);
}
