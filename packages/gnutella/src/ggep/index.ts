export { GgepId } from './ids.ts';
export {
  findGgep,
  findGgepValue,
  GGEP_MAGIC,
  ggepValue,
  MAX_GGEP_ENTRIES,
  MAX_GGEP_INFLATED_BYTES,
  MAX_GGEP_TAIL_BYTES,
  parseGgepBlock,
  parseGgepTail,
} from './parse.ts';
export type { GgepBlock, GgepEntry, GgepRefusal, GgepTailRefusal } from './parse.ts';
export * from './encode.ts';
export * from './host-vectors.ts';
