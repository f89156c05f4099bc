/** Stable reasons for which this package refuses its own caller's input or cannot encode a value. */
export type GnutellaErrorCode =
  | 'bad-guid'
  | 'bad-address'
  | 'bad-base32'
  | 'bad-cobs'
  | 'bad-ggep'
  | 'bad-urn'
  | 'bad-magnet'
  | 'bad-header'
  | 'bad-payload'
  | 'bad-handshake'
  | 'bad-qrp'
  | 'too-large';

/** The only error that leaves this package. Misbehaviour of a peer is a returned value, never an exception. */
export class GnutellaError extends Error {
  readonly code: GnutellaErrorCode;

  constructor(code: GnutellaErrorCode, message: string, options?: ErrorOptions) {
    super(message, options);
    this.name = 'GnutellaError';
    this.code = code;
  }
}
