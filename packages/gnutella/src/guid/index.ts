export * from './guid.ts';
export * from './oob-address.ts';
export * from './refused-guids.ts';
