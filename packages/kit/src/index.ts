export * from './clock/index.ts';
export * from './bus/bus.ts';
