export * from './edge-metrics.ts';
export * from './edge-summaries.ts';
export * from './facts-follower.ts';
export * from './ingress.ts';
export * from './internal-edge.ts';
export * from './state-stream.ts';
export * from './table-difference.ts';
