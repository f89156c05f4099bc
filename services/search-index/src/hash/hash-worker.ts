// A thread that hashes files: gets jobs, reports progress and results.
import { parentPort } from 'node:worker_threads';
import { hashFile } from './hash-file.ts';
import type { HashJob, HashReport } from './hash-messages.ts';

/** Progress is told at most this often, in ms. */
const PROGRESS_MS = 200;

const port = parentPort;
if (port === null) throw new Error('this module runs as a worker thread');
const report = (message: HashReport): void => port.postMessage(message);

port.on('message', ({ id, path }: HashJob) => {
  let toldAt = performance.now();
  const result = hashFile(path, (bytes) => {
    const now = performance.now();
    if (now - toldAt < PROGRESS_MS) return;
    toldAt = now;
    report({ kind: 'progress', id, bytes });
  });
  if (result.ok) {
    const { sha1, sizeBytes, modifiedMs } = result;
    report({ kind: 'hashed', id, sha1, sizeBytes, modifiedMs });
  } else {
    report({ kind: 'failed', id, reason: result.reason, detail: result.detail });
  }
});
