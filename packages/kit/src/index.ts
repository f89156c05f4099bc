export * from './admin/index.ts';
export * from './clock/index.ts';
export * from './config/index.ts';
export * from './lifecycle/index.ts';
export * from './log/index.ts';
export * from './metrics/index.ts';
export * from './telemetry/index.ts';
export * from './bus/index.ts';
