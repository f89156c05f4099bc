// The hashes that an extension area names: HUGE strings and GGEP H, TT and u (docs/protocol/03-ggep-huge.md §5, §6).
import { latin1 } from '../encoding/text.ts';
import { GgepId } from '../ggep/ids.ts';
import { ggepValue } from '../ggep/parse.ts';
import { parseFileUrn, SHA1_BYTES, TTH_BYTES } from './file-urn.ts';
import type { FileUrn, Sha1, Tth } from './file-urn.ts';
import { areaGgep } from './extension-area.ts';
import type { ExtensionArea } from './extension-area.ts';

/** File hashes honoured in one query or record; more are passed over. */
export const MAX_AREA_HASHES = 10;

const HASH_SHA1 = 1;
const HASH_BITPRINT = 2;
const MAX_URN_VALUE_BYTES = 256;

/** What an area says about files. */
export interface AreaHashes {
  /** Distinct, {@link MAX_AREA_HASHES} at most. */
  readonly sha1s: readonly Sha1[];
  readonly tth: Tth | undefined;
  /** A `urn:` that breaks the form, or an H entry of the wrong size: a query with one is dropped. */
  readonly malformed: boolean;
}

/** Collects the hashes of an area; those of H entries are views of its bytes. */
export function areaHashes(area: ExtensionArea): AreaHashes {
  const found = new HashCollector();
  for (const extension of area.extensions) {
    if (extension.kind === 'urn') found.add(extension.urn);
  }
  for (const entry of areaGgep(area)) {
    if (entry.id !== GgepId.HASH && entry.id !== GgepId.TTH && entry.id !== GgepId.URN) continue;
    const value = ggepValue(entry);
    if (value === undefined) found.add({ kind: 'malformed' });
    else if (entry.id === GgepId.HASH) found.add(urnOfHashEntry(value));
    else if (entry.id === GgepId.TTH)
      found.add(value.length === TTH_BYTES ? { kind: 'tth', tth: value as Tth } : { kind: 'malformed' });
    else
      found.add(
        value.length > MAX_URN_VALUE_BYTES ? { kind: 'other' } : parseFileUrn(`urn:${latin1(value, 0, value.length)}`),
      );
  }
  return found;
}

class HashCollector implements AreaHashes {
  readonly sha1s: Sha1[] = [];
  tth: Tth | undefined = undefined;
  malformed = false;

  add(urn: FileUrn): void {
    switch (urn.kind) {
      case 'malformed':
        this.malformed = true;
        break;
      case 'bitprint':
        this.#addSha1(urn.sha1);
        this.tth ??= urn.tth;
        break;
      case 'sha1':
        this.#addSha1(urn.sha1);
        break;
      case 'tth':
        this.tth ??= urn.tth;
        break;
      case 'any':
      case 'other':
        break;
    }
  }

  #addSha1(sha1: Sha1): void {
    if (this.sha1s.length >= MAX_AREA_HASHES) return;
    const known = this.sha1s.some((other) => other.every((byte, i) => byte === sha1[i]));
    if (!known) this.sha1s.push(sha1);
  }
}

/** H: a type byte and the digest; types other than SHA-1 and bitprint say nothing to us. */
function urnOfHashEntry(value: Uint8Array): FileUrn {
  const kind = value[0];
  const sha1 = value.subarray(1, 1 + SHA1_BYTES) as Sha1;
  if (kind === HASH_SHA1) return value.length === 1 + SHA1_BYTES ? { kind: 'sha1', sha1 } : { kind: 'malformed' };
  if (kind !== HASH_BITPRINT) return { kind: 'other' };
  if (value.length !== 1 + SHA1_BYTES + TTH_BYTES) return { kind: 'malformed' };
  return { kind: 'bitprint', sha1, tth: value.subarray(1 + SHA1_BYTES) as Tth };
}
