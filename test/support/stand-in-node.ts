import { spawn } from 'node:child_process';
import { writeFileSync } from 'node:fs';
import { createServer } from 'node:http';
import { join } from 'node:path';
import { parseArgs } from 'node:util';
import { StandInUltrapeer } from './stand-in-ultrapeer.ts';

/**
 * A program with the flags of `filbert up` around the stand-in ultrapeer, for the tests of what starts nodes. In its
 * environment: STAND_IN_FAIL ends it at once, STAND_IN_STUBBORN makes it ignore SIGTERM, STAND_IN_LOSES is the number n of
 * which it loses each n-th delivery.
 */

const { values } = parseArgs({
  allowPositionals: true,
  strict: false,
  args: process.argv.slice(2),
  options: { listen: { type: 'string' }, admin: { type: 'string' }, data: { type: 'string' } },
});

function address(value: unknown): [string, number] {
  const [host = '', port = ''] = String(value).split(':');
  return [host, Number(port)];
}

if (process.env.STAND_IN_FAIL !== undefined) {
  process.stderr.write('the stand-in was told to fail\n');
  process.exit(3);
}

const { STAND_IN_LOSES: loses } = process.env;
const faults = loses === undefined ? {} : { dropEvery: Number(loses) };
const ultrapeer = await StandInUltrapeer.start(faults, ...address(values.listen));
const [adminHost, adminPort] = address(values.admin);
const admin = createServer((request, response) => {
  response.end(request.url === '/metrics' ? 'nodejs_eventloop_lag_max_seconds 0.004\n' : 'ok\n');
}).listen(adminPort, adminHost);

const child =
  values.processes === true
    ? spawn(process.execPath, ['-e', 'setInterval(() => {}, 1000)', 'stand-in-child'], { stdio: 'inherit' })
    : undefined;

writeFileSync(
  join(String(values.data), 'control.json'),
  JSON.stringify({ admin: values.admin, control: '127.0.0.1:1' }),
);
process.stdout.write('the stand-in serves\n');

process.on('SIGTERM', () => {
  if (process.env.STAND_IN_STUBBORN !== undefined) return;
  // The child outlives a SIGTERM to its parent on purpose: whoever stops this must find it.
  child?.unref();
  admin.close();
  admin.closeAllConnections();
  void ultrapeer.close().then(() => process.exit(0));
});
