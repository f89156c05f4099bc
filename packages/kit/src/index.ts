export * from './clock/index.ts';
export * from './config/index.ts';
export * from './bus/bus.ts';
