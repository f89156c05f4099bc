export * from './errors.ts';
export * from './header.ts';
