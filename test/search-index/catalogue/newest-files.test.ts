import assert from 'node:assert/strict';
import { asSha1 } from '@filbert/gnutella';
import { MAX_NEWEST_KEPT, NewestFiles } from '../../../services/search-index/src/catalogue/newest-files.ts';
import type { SharedFile } from '../../../services/search-index/src/catalogue/shared-file.ts';

function file(index: number, addedMs: number): SharedFile {
  const sha1 = asSha1(new Uint8Array(20).fill(index & 0xff));
  return { index, addedMs, path: `/${index}`, name: `${index}`, sha1, sizeBytes: 1, modifiedMs: 0 };
}

describe('search-index: the newest files', () => {
  const indices = (files: readonly SharedFile[]): number[] => files.map(({ index }) => index);

  it('are in order whatever the order they come in, the higher index first among equals', () => {
    const newest = new NewestFiles();
    for (const one of [file(1, 50), file(2, 70), file(3, 60), file(4, 70)]) newest.add(one);
    assert.deepEqual(indices(newest.list([])), [4, 2, 3, 1]);
  });

  it('are kept up to a bound, and looked for again once most of them are gone', () => {
    const all = new Map<number, SharedFile>();
    const newest = new NewestFiles();
    for (let i = 1; i <= 3 * MAX_NEWEST_KEPT; i++) {
      const one = file(i, i);
      all.set(i, one);
      newest.add(one);
    }
    assert.equal(newest.list(all.values()).length, MAX_NEWEST_KEPT);
    const remove = (index: number): void => {
      const one = all.get(index);
      assert.ok(one);
      all.delete(index);
      newest.remove(one);
    };
    const untouched = (): Iterable<SharedFile> => assert.fail('it looked through everything');
    const top = 3 * MAX_NEWEST_KEPT;
    for (let i = 0; i < MAX_NEWEST_KEPT / 2; i++) remove(top - i);
    const left = newest.list({ [Symbol.iterator]: () => untouched()[Symbol.iterator]() });
    assert.equal(left[0]?.index, top - MAX_NEWEST_KEPT / 2);
    remove(top - MAX_NEWEST_KEPT / 2);
    const again = newest.list(all.values());
    assert.deepEqual([again.length, again[0]?.index], [MAX_NEWEST_KEPT, top - MAX_NEWEST_KEPT / 2 - 1]);
  });
});
