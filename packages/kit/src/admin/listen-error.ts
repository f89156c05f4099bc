import { formatHostPort, type HostPort } from '../config/values.ts';

export type ListenErrorCode = 'address-in-use' | 'address-not-available' | 'not-permitted' | 'listen-failed';

/** Why an address could not be listened on; the message is a sentence for the operator. */
export class ListenError extends Error {
  readonly code: ListenErrorCode;

  constructor(code: ListenErrorCode, message: string, options?: ErrorOptions) {
    super(message, options);
    this.name = 'ListenError';
    this.code = code;
  }
}

/**
 * Makes a sentence of what the system said when listening failed.
 * @param what the kind of address: `admin`, `control`, …
 * @param setting the flag that sets it, without dashes; its variable is named alike
 */
export function listenError(what: string, address: HostPort, cause: unknown, setting = what): ListenError {
  const text = cause instanceof Error ? cause.message : String(cause);
  // Libraries wrap the system's error and keep its code in the text only.
  const systemCode = /\b(EADDRINUSE|EADDRNOTAVAIL|EACCES)\b/.exec(text)?.[0] ?? '';
  const subject = `${what} address ${formatHostPort(address)}`;
  switch (systemCode) {
    case 'EADDRINUSE':
      return new ListenError(
        'address-in-use',
        `${subject} is in use: another process listens there; stop it, or choose another address by --${setting} or FILBERT_${setting.toUpperCase()}.`,
        { cause },
      );
    case 'EADDRNOTAVAIL':
      return new ListenError('address-not-available', `${subject} is not an address of this machine.`, { cause });
    case 'EACCES':
      return new ListenError(
        'not-permitted',
        `${subject} may not be used by this user; ports below 1024 are reserved.`,
        {
          cause,
        },
      );
    default:
      return new ListenError('listen-failed', `${subject} could not be listened on: ${text}`, { cause });
  }
}
