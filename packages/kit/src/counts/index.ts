export { bump } from './bump.ts';
