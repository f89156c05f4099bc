export { transfersConfig, type TransfersConfig } from './config.ts';
export { createTransfersService, type TransfersDependencies, type TransfersService } from './service.ts';
