export { describeFrameFault } from './frame-fault.ts';
export type { FrameFault, FrameFaultReason } from './frame-fault.ts';
export { FRAME_LIMITS } from './frame-limits.ts';
export type { FrameLimits } from './frame-limits.ts';
export { FrameSplitter } from './frame-splitter.ts';
export type { FrameSink, FrameSplitterOptions } from './frame-splitter.ts';
