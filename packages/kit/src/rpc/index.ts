export { isLoopback } from './auth.ts';
export {
  type CallOptions,
  callStream,
  callUnary,
  createRpcClient,
  type RpcClientOptions,
  rpcClientOptions,
  type StreamCallOptions,
} from './client.ts';
export {
  COMMON_ERROR_KINDS,
  type ErrorKinds,
  fromServiceError,
  RpcError,
  type RpcErrorKind,
  toRpcError,
  toStatus,
} from './errors.ts';
export { MAX_RPC_MESSAGE_BYTES, MAX_STREAM_MESSAGES, RPC_DRAIN_MS } from './limits.ts';
export type { RpcCall } from './rpc-call.ts';
export { createRpcServer, type RpcServer, RpcServerError, type RpcServerOptions } from './server.ts';
export { type RpcHandlers, type RpcMethod, type RpcService, rpcService } from './service.ts';
