// PUSH, 0x40 (docs/protocol/02-messages.md §8).
import { ipv4FromText, NO_IPV4 } from '../address/ipv4.ts';
import { ipv6FromText } from '../address/ipv6.ts';
import type { PeerAddress } from '../address/peer-address.ts';
import { accepted, refused } from '../encoding/decoded.ts';
import type { Decoded } from '../encoding/decoded.ts';
import { readU16LE, readU32BE, readU32LE, writeU16LE, writeU32BE, writeU32LE } from '../encoding/integers.ts';
import { encodeGgep } from '../ggep/encode.ts';
import type { GgepPart } from '../ggep/encode.ts';
import { GgepId } from '../ggep/ids.ts';
import { findGgep, parseGgepTail } from '../ggep/parse.ts';
import type { GgepEntry, GgepTailRefusal } from '../ggep/parse.ts';
import { guidAt } from '../guid/guid.ts';
import type { Guid } from '../guid/guid.ts';
import { Descriptor, GUID_BYTES, HEADER_BYTES } from '../header.ts';
import { newFrame } from './frame.ts';
import type { Envelope } from './frame.ts';
import { statedAddress } from './pong.ts';

/** Without GGEP. */
export const PUSH_BYTES = 26;
/** The file index of a request between two firewalled servents over RUDP. */
export const FIREWALL_TO_FIREWALL_INDEX = 0x7ffffffd;

/** A PUSH's payload. */
export interface Push {
  /** The servent that shall connect. */
  readonly serventGuid: Guid;
  readonly fileIndex: number;
  /** Unsigned 32 bits; NO_IPV4 when the requester has IPv6 only. */
  readonly ip: number;
  readonly port: number;
  readonly acceptsTls: boolean;
  readonly ggep: readonly GgepEntry[];
}

/** What a PUSH of ours says. */
export interface PushFields {
  readonly serventGuid: Uint8Array;
  readonly fileIndex: number;
  readonly ip: number;
  readonly port: number;
  readonly ggep?: readonly GgepPart[];
}

export type PushRefusal = 'short' | 'port-zero' | GgepTailRefusal;

/** A PUSH frame. */
export function encodePush(envelope: Envelope, push: PushFields): Uint8Array {
  const ggep = encodeGgep(push.ggep ?? []);
  const frame = newFrame(envelope, Descriptor.PUSH, PUSH_BYTES + ggep.length);
  frame.set(push.serventGuid.subarray(0, GUID_BYTES), HEADER_BYTES);
  writeU32LE(frame, HEADER_BYTES + 16, push.fileIndex);
  writeU32BE(frame, HEADER_BYTES + 20, push.ip);
  writeU16LE(frame, HEADER_BYTES + 24, push.port);
  frame.set(ggep, HEADER_BYTES + PUSH_BYTES);
  return frame;
}

/** The fields by which a PUSH names where the servent shall connect: IPv4, or IPv6 in GGEP 6 (11 §2). */
export function pushAddressFields({ host, port }: PeerAddress): Required<Pick<PushFields, 'ip' | 'port' | 'ggep'>> {
  const ip = ipv4FromText(host);
  const ipv6 = ip === undefined ? ipv6FromText(host) : undefined;
  return { ip: ip ?? NO_IPV4, port, ggep: ipv6 === undefined ? [] : [{ id: GgepId.IPV6, value: ipv6 }] };
}

/** Decodes the payload `bytes[start, end)`. The address is not judged beyond its port: see {@link pushAddress}. */
export function decodePush(bytes: Uint8Array, start: number, end: number): Decoded<Push, PushRefusal> {
  if (end - start < PUSH_BYTES) return refused('short');
  const port = readU16LE(bytes, start + 24);
  if (port === 0) return refused('port-zero');
  const ggep = parseGgepTail(bytes, start + PUSH_BYTES, end);
  if (!ggep.ok) return ggep;
  return accepted({
    serventGuid: guidAt(bytes, start),
    fileIndex: readU32LE(bytes, start + 16),
    ip: readU32BE(bytes, start + 20),
    port,
    acceptsTls: findGgep(ggep.value, GgepId.TLS) !== undefined,
    ggep: ggep.value,
  });
}

/** Where the servent shall connect: IPv4, else the IPv6 address of GGEP 6; undefined when there is neither. */
export function pushAddress(push: Push): PeerAddress | undefined {
  return statedAddress(push.ip, push.port, push.ggep);
}

/** Overwrites the address of the PUSH whose payload begins at `start`, as for one that came by UDP (02 §8). */
export function rewritePushAddress(bytes: Uint8Array, start: number, ip: number, port: number): void {
  writeU32BE(bytes, start + 20, ip);
  writeU16LE(bytes, start + 24, port);
}
