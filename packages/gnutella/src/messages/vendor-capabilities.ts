// null/0 Messages Supported and null/10 Features Supported (docs/protocol/07-vendor-messages.md §2).
// Here and in the other vendor files, `bytes[start, end)` is the body behind the envelope; surplus bytes are ignored.
import { accepted, refused } from '../encoding/decoded.ts';
import type { Decoded } from '../encoding/decoded.ts';
import { readU16LE, writeU16LE } from '../encoding/integers.ts';
import { latin1, latin1Bytes } from '../encoding/text.ts';
import { GnutellaError } from '../errors.ts';
import { encodeVendorMessage, VendorMessage } from './vendor.ts';
import type { VendorSelector } from './vendor.ts';

/** Entries kept of one list; a peer that lists more is read so far. */
export const MAX_CAPABILITY_ENTRIES = 256;

const COUNT_BYTES = 2;
const MESSAGE_ENTRY_BYTES = 8;
const FEATURE_ENTRY_BYTES = 6;

/** Names of features (07 §2). */
export const FeatureName = {
  HSEP: 'HSEP',
  WHATS_NEW: 'WHAT',
  ONE_BIT_QRP: 'QRP1',
  FIREWALL_TRANSFER: 'F2FT',
  TCP_INCOMING: 'TCPI',
  TLS: 'TLS!',
} as const;

/** The version of F2FT that means "not possible". */
export const NO_FIREWALL_TRANSFER = 0xffff;

/** A name of 4 characters and a version. */
export interface Feature {
  readonly name: string;
  readonly version: number;
}

export type CapabilityRefusal = 'short' | 'bad-count';

/**
 * A Messages Supported frame.
 * @throws GnutellaError `bad-payload` for a vendor that is not 4 characters
 */
export function encodeMessagesSupported(messages: readonly VendorSelector[]): Uint8Array {
  const body = new Uint8Array(COUNT_BYTES + messages.length * MESSAGE_ENTRY_BYTES);
  writeU16LE(body, 0, messages.length);
  messages.forEach(({ vendor, selector, version }, i) => {
    const at = COUNT_BYTES + i * MESSAGE_ENTRY_BYTES;
    body.set(fourBytes(vendor), at);
    writeU16LE(body, at + 4, selector);
    writeU16LE(body, at + 6, version);
  });
  return encodeVendorMessage(VendorMessage.MESSAGES_SUPPORTED, body);
}

/** Reads a Messages Supported body; a count that is larger than the data refuses it. */
export function decodeMessagesSupported(
  bytes: Uint8Array,
  start: number,
  end: number,
): Decoded<readonly VendorSelector[], CapabilityRefusal> {
  const count = readCount(bytes, start, end, MESSAGE_ENTRY_BYTES);
  if (typeof count === 'string') return refused(count);
  const messages: VendorSelector[] = [];
  for (let i = 0; i < count; i += 1) {
    const at = start + COUNT_BYTES + i * MESSAGE_ENTRY_BYTES;
    const vendor = latin1(bytes, at, at + 4);
    messages.push({ vendor, selector: readU16LE(bytes, at + 4), version: readU16LE(bytes, at + 6) });
  }
  return accepted(messages);
}

/**
 * A Features Supported frame.
 * @throws GnutellaError `bad-payload` for a name that is not 4 characters
 */
export function encodeFeaturesSupported(features: readonly Feature[]): Uint8Array {
  const body = new Uint8Array(COUNT_BYTES + features.length * FEATURE_ENTRY_BYTES);
  writeU16LE(body, 0, features.length);
  features.forEach(({ name, version }, i) => {
    const at = COUNT_BYTES + i * FEATURE_ENTRY_BYTES;
    body.set(fourBytes(name), at);
    writeU16LE(body, at + 4, version);
  });
  return encodeVendorMessage(VendorMessage.FEATURES_SUPPORTED, body);
}

/** Reads a Features Supported body: names are case-sensitive, unknown ones are kept. */
export function decodeFeaturesSupported(
  bytes: Uint8Array,
  start: number,
  end: number,
): Decoded<readonly Feature[], CapabilityRefusal> {
  const count = readCount(bytes, start, end, FEATURE_ENTRY_BYTES);
  if (typeof count === 'string') return refused(count);
  const features: Feature[] = [];
  for (let i = 0; i < count; i += 1) {
    const at = start + COUNT_BYTES + i * FEATURE_ENTRY_BYTES;
    features.push({ name: latin1(bytes, at, at + 4), version: readU16LE(bytes, at + 4) });
  }
  return accepted(features);
}

function readCount(bytes: Uint8Array, start: number, end: number, entryBytes: number): number | CapabilityRefusal {
  if (end - start < COUNT_BYTES) return 'short';
  const count = readU16LE(bytes, start);
  if (COUNT_BYTES + count * entryBytes > end - start) return 'bad-count';
  return Math.min(count, MAX_CAPABILITY_ENTRIES);
}

function fourBytes(text: string): Uint8Array {
  if (text.length !== 4) throw new GnutellaError('bad-payload', 'a vendor or feature name has 4 characters');
  return latin1Bytes(text);
}
