export {
  type AdminServer,
  type AdminServerOptions,
  createAdminServer,
  MAX_ADMIN_CONNECTIONS,
  type MetricsSource,
} from './admin-server.ts';
export { ListenError, listenError, type ListenErrorCode } from './listen-error.ts';
