export { canonicalText, canonicalWords } from './canonical-text.ts';
export { fullTablePassPercent } from './leaf-filter.ts';
export { tableForHashes, tableForNames } from './names-table.ts';
export { encodePatches, encodeReset, type PatchOptions } from './patch-encoder.ts';
export { PATCH_INFLATER_BYTES } from './patch-inflater.ts';
export {
  DEFAULT_MAX_TABLE_BITS,
  MAX_COMPRESSED_PATCH_BYTES,
  type QrpEvent,
  type QrpFaultReason,
  type QrpIgnoredReason,
  QrpReceiver,
  type QrpReceiverOptions,
} from './qrp-receiver.ts';
export { QueryDefect } from './query-defect.ts';
export { MAX_SCANNED_URNS, QueryExtensions } from './query-extensions.ts';
export { isWhatsNewText, MAX_SCANNED_QUERY_BYTES, MAX_SCANNED_WORDS, QueryScanner } from './query-scanner.ts';
export { bitmapBytes, MAX_TABLE_BITS, SlotSet } from './slot-set.ts';
export { applyDifference, difference, fillRatio, merge, resize, type SlotDifference } from './slot-set-operations.ts';
export { matches, tableMatches } from './table-match.ts';
export { hashWord, slotOf, wordPrefixes } from './word-hash.ts';
export { QrpVariant } from './qrp-layout.ts';
