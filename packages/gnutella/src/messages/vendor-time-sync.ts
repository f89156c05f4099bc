// Time sync request and reply, GTKG/9 and GTKG/10 (docs/protocol/07-vendor-messages.md §4).
import { accepted, refused } from '../encoding/decoded.ts';
import type { Decoded } from '../encoding/decoded.ts';
import { readU32BE, writeU32BE } from '../encoding/integers.ts';
import { GUID_BYTES } from '../header.ts';
import { encodeVendorMessage, VendorMessage } from './vendor.ts';

const FLAG_NTP = 0x01;
const STAMP_BYTES = 8;
const MICROSECONDS = 1_000_000;

/** A moment: whole seconds since 1970 and the microseconds behind. */
export interface TimeStamp {
  readonly seconds: number;
  readonly microseconds: number;
}

/** A request; `sentAt` is the sender's T1. */
export interface TimeSyncRequest {
  readonly sentAt: TimeStamp;
  readonly clockUnderNtp: boolean;
}

/** A reply: T1 echoed, T2 when the request arrived, T3 when the reply left. */
export interface TimeSyncReply {
  readonly sentAt: TimeStamp;
  readonly arrivedAt: TimeStamp;
  readonly repliedAt: TimeStamp;
  readonly clockUnderNtp: boolean;
}

/** A Time Sync Request frame. */
export function encodeTimeSyncRequest(request: TimeSyncRequest): Uint8Array {
  const guid = new Uint8Array(GUID_BYTES);
  writeStamp(guid, 0, request.sentAt);
  return encodeVendorMessage(VendorMessage.TIME_SYNC_REQUEST, flagsByte(request.clockUnderNtp), { guid });
}

/** Reads a request: its body, and T1 in the header's GUID at `guidStart`. */
export function decodeTimeSyncRequest(
  bytes: Uint8Array,
  start: number,
  end: number,
  guidStart: number,
): Decoded<TimeSyncRequest, 'short'> {
  if (end - start < 1 || guidStart < 0 || guidStart + GUID_BYTES > bytes.length) return refused('short');
  return accepted({ sentAt: readStamp(bytes, guidStart), clockUnderNtp: isUnderNtp(bytes, start) });
}

/** A Time Sync Reply frame. */
export function encodeTimeSyncReply(reply: TimeSyncReply): Uint8Array {
  const guid = new Uint8Array(GUID_BYTES);
  writeStamp(guid, 0, reply.sentAt);
  writeStamp(guid, STAMP_BYTES, reply.repliedAt);
  const body = new Uint8Array(1 + STAMP_BYTES);
  body.set(flagsByte(reply.clockUnderNtp));
  writeStamp(body, 1, reply.arrivedAt);
  return encodeVendorMessage(VendorMessage.TIME_SYNC_REPLY, body, { guid });
}

/** Reads a reply: its body, and T1 and T3 in the header's GUID at `guidStart`. */
export function decodeTimeSyncReply(
  bytes: Uint8Array,
  start: number,
  end: number,
  guidStart: number,
): Decoded<TimeSyncReply, 'short'> {
  const tooShort = end - start < 1 + STAMP_BYTES;
  if (tooShort || guidStart < 0 || guidStart + GUID_BYTES > bytes.length) return refused('short');
  return accepted({
    sentAt: readStamp(bytes, guidStart),
    arrivedAt: readStamp(bytes, start + 1),
    repliedAt: readStamp(bytes, guidStart + STAMP_BYTES),
    clockUnderNtp: isUnderNtp(bytes, start),
  });
}

/**
 * What a reply that arrived at T4 says, in seconds.
 * @returns the round trip without the peer's own time, and how far the peer's clock is ahead of ours; undefined when
 *   the round trip would be negative
 */
export function estimateTimeOffset(
  t1: number,
  t2: number,
  t3: number,
  t4: number,
): { readonly roundTripSeconds: number; readonly offsetSeconds: number } | undefined {
  const roundTripSeconds = t4 - t1 - (t3 - t2);
  if (!(roundTripSeconds >= 0)) return undefined;
  return { roundTripSeconds, offsetSeconds: (t2 - t1 + (t3 - t4)) / 2 };
}

function writeStamp(bytes: Uint8Array, at: number, stamp: TimeStamp): void {
  writeU32BE(bytes, at, stamp.seconds);
  writeU32BE(bytes, at + 4, stamp.microseconds);
}

function readStamp(bytes: Uint8Array, at: number): TimeStamp {
  return { seconds: readU32BE(bytes, at), microseconds: Math.min(readU32BE(bytes, at + 4), MICROSECONDS - 1) };
}

function flagsByte(clockUnderNtp: boolean): Uint8Array {
  return Uint8Array.of(clockUnderNtp ? FLAG_NTP : 0);
}

function isUnderNtp(bytes: Uint8Array, at: number): boolean {
  return ((bytes[at] as number) & FLAG_NTP) !== 0;
}
