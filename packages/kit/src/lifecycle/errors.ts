export type LifecycleErrorCode = 'start-failed' | 'start-timeout' | 'interrupted' | 'bad-order' | 'too-many-conditions';

/** Why a process could not start, or how its lifecycle was misused. */
export class LifecycleError extends Error {
  readonly code: LifecycleErrorCode;

  constructor(code: LifecycleErrorCode, message: string, options?: ErrorOptions) {
    super(message, options);
    this.name = 'LifecycleError';
    this.code = code;
  }
}
