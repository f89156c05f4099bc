/** The outcome of decoding bytes that a peer sent: a value, or a reason that is also fit for a metric label. */
export type Decoded<T, R extends string = string> =
  { readonly ok: true; readonly value: T } | { readonly ok: false; readonly reason: R };

/** An accepted {@link Decoded}. */
export function accepted<T>(value: T): { readonly ok: true; readonly value: T } {
  return { ok: true, value };
}

/** A refused {@link Decoded}. */
export function refused<R extends string>(reason: R): { readonly ok: false; readonly reason: R } {
  return { ok: false, reason };
}
