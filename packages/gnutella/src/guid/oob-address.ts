// The return address inside the GUID of a query that wants out-of-band hits (docs/protocol/02-messages.md §1, 06 §6):
// IPv4 big-endian in bytes 0-3, port little-endian in bytes 13-14.
import { readU16LE, readU32BE, writeU16LE, writeU32BE } from '../encoding/integers.ts';

const PORT_OFFSET = 13;

/** The IPv4 address of the out-of-band GUID at `start`, as an unsigned 32-bit number. */
export function oobIp(bytes: Uint8Array, start = 0): number {
  return readU32BE(bytes, start);
}

/** The port of the out-of-band GUID at `start`. */
export function oobPort(bytes: Uint8Array, start = 0): number {
  return readU16LE(bytes, start + PORT_OFFSET);
}

/**
 * Writes a return address into the GUID at `start`; the other ten bytes keep their values.
 * @param ip unsigned 32-bit number
 */
export function writeOobAddress(bytes: Uint8Array, start: number, ip: number, port: number): void {
  writeU32BE(bytes, start, ip);
  writeU16LE(bytes, start + PORT_OFFSET, port);
}

/**
 * Zeroes the address bytes of the GUID at `start`: the mangled form under which one query, proxied by several
 * ultrapeers, is recognised as a duplicate (06 §1).
 */
export function mangleOobGuid(bytes: Uint8Array, start = 0): void {
  writeOobAddress(bytes, start, 0, 0);
}
