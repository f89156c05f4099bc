import { formatHostPort, type Component, type HostPort, type Readiness } from '@filbert/kit';
import { removeControlFile, writeControlFile } from '../control/control-file.ts';
import type { NodeConfig } from '../node-config.ts';

/** The component that tells the command line where the node is, as the last to start. */
export function withControlFile(
  config: NodeConfig,
  addresses: () => {
    readonly control: HostPort | undefined;
    readonly admin: HostPort | undefined;
    readonly gnutella: string;
  },
): Component {
  return {
    name: 'control file',
    start: () => {
      const { control, admin, gnutella } = addresses();
      if (control === undefined || admin === undefined) throw new Error('the control file was due before its servers');
      writeControlFile(config.bootstrap.data, {
        control: formatHostPort(control),
        admin: formatHostPort(admin),
        gnutella,
        pid: process.pid,
      });
    },
    stop: () => removeControlFile(config.bootstrap.data),
  };
}

/** Says why the node cannot start, as commands say why they failed. */
export function sayStartFailed(error: Error): void {
  process.stderr.write(`filbert: ${error.message}\n`);
}

/** How `up` prints what it says on stdout: for people, or one JSON object a line. */
export type OutputForm = 'text' | 'json';

/** Prints one thing that `up` says: the object, or the line for people. */
export function print(form: OutputForm, said: Readonly<Record<string, string>>, text: string): void {
  process.stdout.write(`${form === 'json' ? JSON.stringify(said) : text}\n`);
}

/** Prints the one line that says that the node serves, when it does. */
export function serving(
  readiness: Readiness,
  form: OutputForm,
  addresses: () => { readonly gnutella: string; readonly admin: HostPort | undefined },
): void {
  const stop = readiness.onChange((ready) => {
    if (!ready) return;
    stop();
    const { gnutella, admin: adminAddress } = addresses();
    const admin = adminAddress === undefined ? '' : formatHostPort(adminAddress);
    const text = `Filbert serves Gnutella on ${gnutella}; metrics and health on http://${admin}`;
    print(form, { event: 'serving', gnutella, admin }, text);
  });
}
