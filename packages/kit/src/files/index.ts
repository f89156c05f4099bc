export { makeFolder } from './make-folder.ts';
export { errorCode } from './error-code.ts';
