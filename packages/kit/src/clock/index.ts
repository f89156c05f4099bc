export { type Clock, systemClock, systemTimers, type TimerHandle, type Timers } from './clock.ts';
export { randomEpoch } from './epoch.ts';
