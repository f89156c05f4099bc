export * from './file-urn.ts';
export * from './extension-area.ts';
export * from './extension-hashes.ts';
export * from './file-target.ts';
export * from './magnet.ts';
