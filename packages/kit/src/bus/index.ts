export * from './bus.ts';
export { createInProcessBus, type InProcessBusOptions } from './in-process-bus.ts';
export { connectNatsBus, type NatsBusOptions } from './nats-bus.ts';
export { connectNats, type NatsConnectOptions } from './nats-connect.ts';
