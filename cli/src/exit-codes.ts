/** Exit codes of the command line (README, "Exit codes"); the numbers above 60 are those of sysexits.h. */
export const ExitCode = {
  ok: 0,
  /** The command failed; the sentence on stderr says why. */
  failed: 1,
  /** The command line could not be understood. */
  usage: 64,
  /** A node, or a server that the node needs, could not be reached. */
  unavailable: 69,
  /** Settings cannot be used. */
  config: 78,
  /** SIGINT (Ctrl-C) ended the command before it was done. */
  interrupted: 130,
  /** SIGTERM ended the command before it was done. */
  terminated: 143,
} as const;
export type ExitCode = (typeof ExitCode)[keyof typeof ExitCode];

/** A command failed: its message is the sentence to print. */
export class CommandError extends Error {
  readonly exitCode: ExitCode;

  constructor(exitCode: ExitCode, message: string, options?: ErrorOptions) {
    super(message, options);
    this.name = 'CommandError';
    this.exitCode = exitCode;
  }
}
