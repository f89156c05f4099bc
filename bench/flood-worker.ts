import { Flood } from './load/flood.ts';

/**
 * The flood of bad input in a process of its own, so that its work is not taken for the node's delay: it runs from the
 * message `start` to the message `stop`, answers that with what it did, and ends with its parent.
 */

const [host = '127.0.0.1', port = '0', visitsPerSecond = '0'] = process.argv.slice(2);
let flood: Flood | undefined;

process.on('message', (message) => {
  if (message === 'start') flood = new Flood(host, Number(port), Number(visitsPerSecond));
  else if (message === 'stop') void flood?.stop().then((counts) => process.send?.(counts));
});
process.on('disconnect', () => process.exit(0));
