import type { ServiceDefinition, UntypedServiceImplementation } from '@grpc/grpc-js';
import type { ErrorKinds } from './errors.ts';
import { handleStream, handleUnary } from './handle-call.ts';
import type { RpcCall, ServeContext } from './rpc-call.ts';

/** A method of a ts-proto stub (`outputServices=grpc-js`): `ConnectionsServiceService.listLinks`. */
export interface RpcMethod<Q, R, Streams extends boolean = boolean> {
  readonly path: string;
  readonly requestStream: false;
  readonly responseStream: Streams;
  readonly requestSerialize: (value: Q) => Buffer;
  readonly requestDeserialize: (value: Buffer) => Q;
  readonly responseSerialize: (value: R) => Buffer;
  readonly responseDeserialize: (value: Buffer) => R;
}

/** A handler for each method of a stub: a promise for a unary method, an async iterable for a server stream. */
export type RpcHandlers<S> = {
  readonly [K in keyof S]: S[K] extends RpcMethod<infer Q, infer R, true>
    ? (request: Q, call: RpcCall) => AsyncIterable<R>
    : S[K] extends RpcMethod<infer Q, infer R, false>
      ? (request: Q, call: RpcCall) => Promise<R> | R
      : never;
};

/** A service with its handlers, ready for `createRpcServer`. */
export interface RpcService {
  /** Full name, `filbert.connections.v1.ConnectionsService`: also its name for grpc.health.v1. */
  readonly name: string;
  readonly definition: ServiceDefinition;
  /** Handlers in the shape of grpc-js. Only the server calls this. */
  implement(context: ServeContext): UntypedServiceImplementation;
}

type UntypedHandler = (request: unknown, call: RpcCall) => unknown;

/**
 * Joins a stub's service definition with handlers. What handlers throw is told to callers by `errors` (the service's stable
 * codes) and the common table; see `toRpcError`.
 */
export function rpcService<S extends ServiceDefinition>(
  definition: S,
  handlers: RpcHandlers<S>,
  { errors = {} }: { readonly errors?: ErrorKinds } = {},
): RpcService {
  const name = Object.values(definition)[0]?.path.split('/')[1] ?? '';
  return {
    name,
    definition,
    implement(context) {
      const implementation: UntypedServiceImplementation = {};
      for (const [method, { path, responseStream }] of Object.entries(definition)) {
        // RpcHandlers ties each handler to its method's types; from here on grpc-js knows them only as bytes.
        const handler = (handlers as Readonly<Record<string, UntypedHandler>>)[method];
        if (handler === undefined) continue;
        implementation[method] = responseStream
          ? handleStream(path, handler as (request: unknown, call: RpcCall) => AsyncIterable<unknown>, errors, context)
          : handleUnary(path, handler, errors, context);
      }
      return implementation;
    },
  };
}
