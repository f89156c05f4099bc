export * from './kv.ts';
export { connectNatsKeyValue, type NatsKeyValueOptions } from './nats-kv.ts';
