/** A metric was declared or used wrongly: a mistake in the program. */
export class MetricsError extends Error {
  readonly code: 'bad-name' | 'bad-label' | 'bad-sample';

  constructor(code: MetricsError['code'], message: string, options?: ErrorOptions) {
    super(message, options);
    this.name = 'MetricsError';
    this.code = code;
  }
}
