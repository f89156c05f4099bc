export { bootstrapConfig, type BootstrapConfig } from './config.ts';
export { parseSeeds } from './seeds.ts';
export { type BootstrapService, createBootstrapService } from './service.ts';
