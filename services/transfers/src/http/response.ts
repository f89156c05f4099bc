import { USER_AGENT } from '@filbert/contracts';
import type { RequestResult, UploadRefusal } from '../counters.ts';

/** An answer without a file: its status, headers of its own and a short text. */
export interface Answer {
  readonly status: number;
  readonly reason: string;
  readonly result: RequestResult;
  /** Where a file was asked for and not sent for a while: why. */
  readonly uploadRefusal?: UploadRefusal;
  readonly headers?: readonly string[];
  /** Text for people; none for HEAD. */
  readonly body?: string;
  readonly contentType?: string;
  /** The connection ends after it whatever the client wants. */
  readonly close?: boolean;
}

/** The head of a response, CR LF at its end. Lines of `headers` carry no line ends. */
export function responseHead(status: number, reason: string, headers: readonly string[]): string {
  return `HTTP/1.1 ${status} ${reason}\r\nServer: ${USER_AGENT}\r\n${headers.map((line) => `${line}\r\n`).join('')}\r\n`;
}

/** Says why a request is not served. */
export function refusal(
  status: number,
  reason: string,
  result: RequestResult,
  more: Partial<Pick<Answer, 'headers' | 'close' | 'uploadRefusal'>> = {},
): Answer {
  return { status, reason, result, body: `${reason}\n`, contentType: 'text/plain', ...more };
}
