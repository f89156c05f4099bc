export { connectionsConfig, type ConnectionsConfig } from './config.ts';
export { type ConnectionsService, createConnectionsService } from './service.ts';
