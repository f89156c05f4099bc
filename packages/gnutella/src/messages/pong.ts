// PONG, 0x01 (docs/protocol/02-messages.md §6).
import { NO_IPV4 } from '../address/ipv4.ts';
import { peerAddressFromIpv4 } from '../address/peer-address.ts';
import type { PeerAddress } from '../address/peer-address.ts';
import { hostFromIpv6Bytes, IPV6_BYTES } from '../address/ipv6.ts';
import { accepted, refused } from '../encoding/decoded.ts';
import type { Decoded } from '../encoding/decoded.ts';
import { readU16LE, readU32BE, readU32LE, writeU16LE, writeU32BE, writeU32LE } from '../encoding/integers.ts';
import { encodeGgep } from '../ggep/encode.ts';
import type { GgepPart } from '../ggep/encode.ts';
import { GgepId } from '../ggep/ids.ts';
import { findGgep, findGgepValue, parseGgepTail } from '../ggep/parse.ts';
import type { GgepEntry, GgepTailRefusal } from '../ggep/parse.ts';
import { Descriptor, HEADER_BYTES } from '../header.ts';
import { newFrame } from './frame.ts';
import type { Envelope } from './frame.ts';

/** Without GGEP. */
export const PONG_BYTES = 14;
/** More files than this are a swapped count or a lie. */
export const MAX_PLAUSIBLE_FILES = 10_000_000;
const MIN_ULTRAPEER_KIB = 8;
const MAX_ULTRAPEER_KIB = 2 ** 31;
const MAX_U32 = 0xffffffff;

/** A PONG's payload. */
export interface Pong {
  readonly port: number;
  /** Unsigned 32 bits; {@link NO_IPV4} when the sender has IPv6 only. */
  readonly ip: number;
  readonly files: number;
  readonly kib: number;
  readonly isUltrapeer: boolean;
  readonly ggep: readonly GgepEntry[];
}

/** What a PONG of ours says. */
export interface PongFields {
  readonly port: number;
  readonly ip: number;
  readonly files: number;
  readonly kib: number;
  /** Marks the KiB field: {@link ultrapeerKib} or {@link leafKib}. */
  readonly isUltrapeer: boolean;
  readonly ggep?: readonly GgepPart[];
}

export type PongRefusal = 'short' | 'too-many-files' | GgepTailRefusal;

/** The KiB field of an ultrapeer: the power of two at or above the true value, at least 8. */
export function ultrapeerKib(kib: number): number {
  const capped = Math.min(Math.max(kib, MIN_ULTRAPEER_KIB), MAX_ULTRAPEER_KIB);
  return 2 ** Math.ceil(Math.log2(capped));
}

/** The KiB field of a leaf: bit 0 set where it is not zero, so that it is no power of two that marks an ultrapeer. */
export function leafKib(kib: number): number {
  return kib === 0 ? 0 : (Math.min(kib, MAX_U32) | 1) >>> 0;
}

/** A PONG frame. Its GUID is that of the PING it answers. */
export function encodePong(envelope: Envelope, pong: PongFields): Uint8Array {
  const ggep = encodeGgep(pong.ggep ?? []);
  const frame = newFrame(envelope, Descriptor.PONG, PONG_BYTES + ggep.length);
  writeU16LE(frame, HEADER_BYTES, pong.port);
  writeU32BE(frame, HEADER_BYTES + 2, pong.ip);
  writeU32LE(frame, HEADER_BYTES + 6, Math.min(pong.files, MAX_PLAUSIBLE_FILES));
  writeU32LE(frame, HEADER_BYTES + 10, pong.isUltrapeer ? ultrapeerKib(pong.kib) : leafKib(pong.kib));
  frame.set(ggep, HEADER_BYTES + PONG_BYTES);
  return frame;
}

/**
 * Decodes the payload `bytes[start, end)`. A file count in the wrong byte order is put right. The address is not
 * judged: see {@link pongAddress}.
 */
export function decodePong(bytes: Uint8Array, start: number, end: number): Decoded<Pong, PongRefusal> {
  if (end - start < PONG_BYTES) return refused('short');
  let files = readU32LE(bytes, start + 6);
  if (files > MAX_PLAUSIBLE_FILES) files = readU32BE(bytes, start + 6);
  if (files > MAX_PLAUSIBLE_FILES) return refused('too-many-files');
  const ggep = parseGgepTail(bytes, start + PONG_BYTES, end);
  if (!ggep.ok) return ggep;
  const kib = readU32LE(bytes, start + 10);
  return accepted({
    port: readU16LE(bytes, start),
    ip: readU32BE(bytes, start + 2),
    files,
    kib,
    isUltrapeer: isUltrapeerKib(kib) || findGgep(ggep.value, GgepId.ULTRAPEER) !== undefined,
    ggep: ggep.value,
  });
}

/** Where the PONG says its sender listens: IPv4, else the IPv6 address of GGEP 6. Undefined for port 0 or neither. */
export function pongAddress(pong: Pong): PeerAddress | undefined {
  return statedAddress(pong.ip, pong.port, pong.ggep);
}

/**
 * The address in a message that has an IPv4 field and GGEP: IPv4, else the IPv6 address of GGEP 6
 * (docs/protocol/11-tls-ipv6-dht-g2-overview.md §2).
 */
export function statedAddress(ip: number, port: number, ggep: readonly GgepEntry[]): PeerAddress | undefined {
  if (port === 0) return undefined;
  if (ip !== NO_IPV4) return peerAddressFromIpv4(ip, port);
  const ipv6 = findGgepValue(ggep, GgepId.IPV6);
  return ipv6?.length === IPV6_BYTES ? { host: hostFromIpv6Bytes(ipv6), port } : undefined;
}

function isUltrapeerKib(kib: number): boolean {
  return kib >= MIN_ULTRAPEER_KIB && (kib & (kib - 1)) === 0;
}
