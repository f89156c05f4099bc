// The first lines of handshake blocks (docs/protocol/01-handshake.md §2 and §3).

import { MAX_REASON_CHARS } from './limits.ts';

export interface StatusLine {
  readonly major: number;
  readonly minor: number;
  /** 100…999. */
  readonly code: number;
  readonly reason: string;
}

export interface ConnectLine {
  readonly major: number;
  readonly minor: number;
}

/** Reads `GNUTELLA CONNECT/<major>.<minor>`; undefined when it is something else. */
export function parseConnectLine(line: string): ConnectLine | undefined {
  const match = /^GNUTELLA CONNECT\/(\d{1,3})\.(\d{1,3})\s*$/.exec(line);
  return match ? { major: Number(match[1]), minor: Number(match[2]) } : undefined;
}

/** Reads `GNUTELLA/<major>.<minor> <code> <reason>`, the reason free text or missing; undefined when it is none. */
export function parseStatusLine(line: string): StatusLine | undefined {
  const match = /^GNUTELLA\/(\d{1,3})\.(\d{1,3}) +([1-9]\d\d)(?:\s(.*))?$/.exec(line);
  if (!match) return undefined;
  const reason = (match[4] ?? '').trim().slice(0, MAX_REASON_CHARS);
  return { major: Number(match[1]), minor: Number(match[2]), code: Number(match[3]), reason };
}

/** Whether a version is 0.6 or newer; to all of those we speak 0.6. */
export function isSpoken(version: { readonly major: number; readonly minor: number }): boolean {
  return version.major > 0 || version.minor >= 6;
}

/** 200…299 lets the handshake go on, but 204 is a leaf's polite refusal. */
export function isAcceptance(code: number): boolean {
  return code >= 200 && code <= 299 && code !== 204;
}
