import type { Client } from '@grpc/grpc-js';
import { service } from 'grpc-health-check';

/** Asks grpc.health.v1 for the status of a service, '' being the whole server. */
export function checkHealth(client: Client, name: string): Promise<string> {
  const check = service['Check'];
  if (check === undefined) throw new Error('grpc.health.v1 has no Check');
  return new Promise((resolve, reject) => {
    client.makeUnaryRequest(
      check.path,
      check.requestSerialize as (value: object) => Buffer,
      check.responseDeserialize as (value: Buffer) => { status: string },
      { service: name },
      { deadline: Date.now() + 5_000 },
      (error, response) => {
        if (error !== null) reject(error);
        else resolve(response?.status ?? 'none');
      },
    );
  });
}
