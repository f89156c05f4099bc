export { bootstrapConfig, type BootstrapConfig } from './config.ts';
export { type BootstrapService, createBootstrapService } from './service.ts';
