export { LifecycleError, type LifecycleErrorCode } from './errors.ts';
export {
  type Component,
  createLifecycle,
  DRAIN_TIMEOUT_MS,
  type Lifecycle,
  type LifecycleOptions,
  type PhaseTimeouts,
  READY_TIMEOUT_MS,
  RUNNING_CONDITION,
  START_TIMEOUT_MS,
  STOP_TIMEOUT_MS,
  type StopReport,
} from './lifecycle.ts';
export { createReadiness, type Readiness } from './readiness.ts';
export {
  EXIT_CODES,
  type ProcessEvents,
  runService,
  type RunServiceOptions,
  SHUTDOWN_TIMEOUT_MS,
} from './run-service.ts';
