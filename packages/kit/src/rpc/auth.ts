import { createHash, timingSafeEqual } from 'node:crypto';
import { isIPv4 } from 'node:net';
import {
  type Interceptor,
  InterceptingCall,
  type ServerInterceptor,
  ServerInterceptingCall,
  ServerListenerBuilder,
} from '@grpc/grpc-js';
import { RpcError, toStatus } from './errors.ts';

const AUTHORIZATION_KEY = 'authorization';
/** Probes have no token, and health says nothing that a port scan would not. */
const OPEN_PATH_PREFIX = '/grpc.health.v1.Health/';

/** Whether only this machine can reach a server on this host. */
export function isLoopback(host: string): boolean {
  const name = host.toLowerCase();
  const ipv4 = name.startsWith('::ffff:') ? name.slice('::ffff:'.length) : name;
  return name === 'localhost' || name === '::1' || (isIPv4(ipv4) && ipv4.startsWith('127.'));
}

/** Refuses calls without `authorization: Bearer <token>`, except for grpc.health.v1. */
export function requireToken(token: string): ServerInterceptor {
  const expected = digest(`Bearer ${token}`);
  return (method, call) => {
    if (method.path.startsWith(OPEN_PATH_PREFIX)) return new ServerInterceptingCall(call);
    return new ServerInterceptingCall(call, {
      start: (next) => {
        const listener = new ServerListenerBuilder().withOnReceiveMetadata((metadata, proceed) => {
          const given = metadata.get(AUTHORIZATION_KEY)[0];
          if (typeof given === 'string' && timingSafeEqual(digest(given), expected)) proceed(metadata);
          else call.sendStatus(toStatus(new RpcError('unauthenticated', 'a valid token is needed')));
        });
        next(listener.build());
      },
    });
  };
}

/** Adds `authorization: Bearer <token>` to each call of a client. */
export function sendToken(token: string): Interceptor {
  return (options, nextCall) =>
    new InterceptingCall(nextCall(options), {
      start: (metadata, listener, next) => {
        metadata.set(AUTHORIZATION_KEY, `Bearer ${token}`);
        next(metadata, listener);
      },
    });
}

/** Equal lengths for the comparison, whatever was given. */
function digest(text: string): Buffer {
  return createHash('sha256').update(text).digest();
}
