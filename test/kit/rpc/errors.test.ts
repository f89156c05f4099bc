import assert from 'node:assert/strict';
import { status } from '@grpc/grpc-js';
import { BusError, fromServiceError, RpcError, type RpcErrorKind, toRpcError, toStatus } from '@filbert/kit';

const KINDS: readonly RpcErrorKind[] = [
  'cancelled',
  'unknown',
  'invalid-argument',
  'deadline-exceeded',
  'not-found',
  'already-exists',
  'permission-denied',
  'resource-exhausted',
  'failed-precondition',
  'aborted',
  'out-of-range',
  'unimplemented',
  'internal',
  'unavailable',
  'data-loss',
  'unauthenticated',
];

class LinkError extends Error {
  readonly code: string;
  constructor(code: string) {
    super(`about ${code}`);
    this.code = code;
  }
}

/** What a client would be given for a status. */
function overTheWire(error: RpcError): RpcError {
  return fromServiceError(Object.assign(new Error('from the wire'), toStatus(error)));
}

describe('kit rpc errors', () => {
  it('maps each kind to its own gRPC status and back', () => {
    const statuses = KINDS.map((kind, index) => {
      const error = new RpcError(kind, 'text');
      assert.equal(toStatus(error).code, index + 1);
      const back = overTheWire(error);
      assert.deepEqual([back.kind, back.code, back.message], [kind, kind, 'text']);
      return toStatus(error).code;
    });
    assert.equal(new Set(statuses).size, 16);
    assert.equal(statuses.at(-1), status.UNAUTHENTICATED);
  });

  it('tells a service error by its stable code, through the table of its service', () => {
    const error = toRpcError(new LinkError('no-such-link'), { 'no-such-link': 'not-found' });
    assert.deepEqual([error.kind, error.code, error.message], ['not-found', 'no-such-link', 'about no-such-link']);
    const back = overTheWire(error);
    assert.deepEqual([back.kind, back.code, back.message], ['not-found', 'no-such-link', 'about no-such-link']);
  });

  it('knows the errors of the bus, and lets a service see them otherwise', () => {
    const error = new BusError('timeout', 'no answer');
    assert.equal(toRpcError(error).kind, 'deadline-exceeded');
    assert.equal(toRpcError(error, { timeout: 'unavailable' }).kind, 'unavailable');
  });

  it('tells nothing of an error that was not written for callers', () => {
    for (const thrown of [
      new LinkError('constructor'),
      new LinkError('EACCES'),
      new Error('/secret/path'),
      'text',
      null,
    ]) {
      const error = toRpcError(thrown, {});
      assert.deepEqual([error.kind, error.message], ['internal', 'internal error']);
    }
  });

  it('reads statuses and errors that it does not know as unknown', () => {
    assert.equal(fromServiceError(Object.assign(new Error('x'), { code: 99, details: 'odd' })).kind, 'unknown');
    assert.equal(fromServiceError('text').kind, 'unknown');
  });

  it('bounds the message and sends no code that is not a stable one', () => {
    const sent = toStatus(new RpcError('internal', 'x'.repeat(5000), { code: 'Not A Code\n' }));
    assert.equal(sent.details.length, 1000);
    assert.deepEqual(sent.metadata.getMap(), {});
  });
});
