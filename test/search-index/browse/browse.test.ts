import assert from 'node:assert/strict';
import { decodeQueryHit, HEADER_BYTES, payloadLength } from '@filbert/gnutella';
import { browsePage, FILES_PER_PAGE, filesAfter, lookUp } from '../../../services/search-index/src/browse/browse.ts';
import type { HitSource } from '../../../services/search-index/src/hits/node-address.ts';
import { hashedFile, openLibrary, sha1Of, TempFolder, type TestLibrary } from '../support.ts';

const SOURCE: HitSource = {
  serventGuid: Buffer.from('a1b2c3d4e5f60718ff293a4b5c6d7e00', 'hex'),
  address: { host: '8.9.10.11', port: 6346 },
  isFirewalled: false,
  isBusy: undefined,
  hasUploaded: false,
};
const GUID = Buffer.alloc(16, 9);

/** Names in concatenated QUERY HIT frames. */
function namesIn(frames: Uint8Array): string[] {
  const names: string[] = [];
  for (let at = 0; at < frames.length;) {
    const end = at + HEADER_BYTES + payloadLength(frames, at);
    const decoded = decodeQueryHit(frames, at + HEADER_BYTES, end);
    assert.ok(decoded.ok);
    names.push(...decoded.value.records.map(({ name }) => name));
    at = end;
  }
  return names;
}

describe('search-index: browse', () => {
  let folder: TempFolder;
  let opened: TestLibrary;

  beforeEach(() => {
    folder = new TempFolder();
    opened = openLibrary(folder.path);
  });
  afterEach(() => {
    opened.close();
    folder.remove();
  });

  it('lists every file once, page by page, also while files come and go', () => {
    const { library } = opened;
    const count = 2 * FILES_PER_PAGE + 5;
    const files = library.add(Array.from({ length: count }, (_, at) => hashedFile(`/f ${at}`)));
    const seen: string[] = [];
    let offset = 0;
    let pages = 0;
    do {
      const page = browsePage(library, offset, SOURCE, GUID);
      seen.push(...namesIn(page.frames));
      // One that was listed goes: the next page leaves out none for that.
      library.withdraw(files.slice(pages, pages + 1));
      offset = page.nextOffset;
      pages++;
    } while (offset !== 0);
    assert.equal(pages, 3);
    assert.deepEqual(
      seen,
      Array.from({ length: count }, (_, at) => `f ${at}`),
    );
  });

  it('is one empty page for an empty library', () => {
    assert.deepEqual(browsePage(opened.library, 0, SOURCE, GUID), { frames: Buffer.alloc(0), nextOffset: 0 });
    assert.deepEqual(filesAfter(opened.library, 0, 10), []);
  });

  it('looks a file up by hash or index, and stays silent on others', () => {
    const [file] = opened.add('/music/a.mp3');
    const none = new Uint8Array(0);
    const expected = {
      found: true,
      index: file?.index,
      name: 'a.mp3',
      size: 1000,
      sha1: file?.sha1,
      path: '/music/a.mp3',
      modifiedAtMs: 1_700_000_000_000.25,
      shareFolder: '/music',
    };
    const folderOf = (): string => '/music';
    assert.deepEqual(lookUp(opened.library, { sha1: sha1Of('/music/a.mp3'), index: 0 }, folderOf), expected);
    assert.deepEqual(lookUp(opened.library, { sha1: none, index: file?.index ?? 0 }, folderOf), expected);
    assert.equal(lookUp(opened.library, { sha1: sha1Of('other'), index: file?.index ?? 0 }, folderOf), undefined);
    assert.equal(lookUp(opened.library, { sha1: none, index: 0 }, folderOf), undefined);
  });
});
