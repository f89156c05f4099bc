export { transfersConfig, type TransfersConfig } from './config.ts';
export type { InternalEdge, InternalLink, InternalLinkOptions } from './internal-edge.ts';
export { createTransfersService, type TransfersDependencies, type TransfersService } from './service.ts';
