// What the GGEP of a PONG says (docs/protocol/03-ggep-huge.md §5, 04-ping-pong-uhc.md §4 and §7).
import { canonicalHost } from '../address/peer-address.ts';
import type { PeerAddress } from '../address/peer-address.ts';
import { hostFromIpv6Bytes, IPV6_BYTES } from '../address/ipv6.ts';
import { ipv4At, ipv4ToText } from '../address/ipv4.ts';
import { readU16LE } from '../encoding/integers.ts';
import { latin1, lenientUtf8, utf8Bytes } from '../encoding/text.ts';
import { vlintDecode } from '../encoding/vlint.ts';
import { decodePackedHosts, decodePackedHosts6, MAX_PACKED_HOSTS, tlsBit } from '../ggep/host-vectors.ts';
import { GgepId } from '../ggep/ids.ts';
import { findGgep, findGgepValue } from '../ggep/parse.ts';
import type { GgepField } from '../ggep/encode.ts';
import type { GgepEntry } from '../ggep/parse.ts';

const UP_VERSION = 2;
const MAX_SLOTS = 255;
const MAX_UPTIME_SECONDS = 86_400;
const MAX_HOST_NAME_CHARS = 253;

/** Free slots as GGEP UP states them, 0…255 each. */
export interface FreeSlots {
  readonly leafSlots: number;
  readonly ultrapeerSlots: number;
}

/** A host of a packed list. */
export interface PackedHost {
  readonly address: PeerAddress;
  readonly takesTls: boolean;
}

/** GGEP UP: version, free leaf slots, free ultrapeer slots; counts over 255 are written as 255. */
export function freeSlotsField(slots: FreeSlots): GgepField {
  const leafSlots = Math.min(slots.leafSlots, MAX_SLOTS);
  const ultrapeerSlots = Math.min(slots.ultrapeerSlots, MAX_SLOTS);
  return { id: GgepId.ULTRAPEER, value: Uint8Array.of(UP_VERSION, leafSlots, ultrapeerSlots) };
}

/** Free slots of GGEP UP; undefined when it is absent or short. */
export function readFreeSlots(ggep: readonly GgepEntry[]): FreeSlots | undefined {
  const value = findGgepValue(ggep, GgepId.ULTRAPEER);
  const leafSlots = value?.[1];
  const ultrapeerSlots = value?.[2];
  return leafSlots === undefined || ultrapeerSlots === undefined ? undefined : { leafSlots, ultrapeerSlots };
}

/** Average daily uptime of GGEP DU, in seconds, 86,400 at most; undefined when absent or unreadable. */
export function readDailyUptimeSeconds(ggep: readonly GgepEntry[]): number | undefined {
  const value = findGgepValue(ggep, GgepId.DAILY_UPTIME);
  const seconds = value === undefined ? undefined : vlintDecode(value);
  return seconds === undefined ? undefined : Math.min(seconds, MAX_UPTIME_SECONDS);
}

/** GGEP VC: vendor code of 4 characters and a version. */
export function vendorVersionField(vendor: string, major: number, minor: number): GgepField {
  const value = new Uint8Array(5);
  value.set(utf8Bytes(vendor).subarray(0, 4));
  value[4] = ((major & 0x0f) << 4) | (minor & 0x0f);
  return { id: GgepId.VENDOR_VERSION, value };
}

/** Vendor and version of GGEP VC; undefined when absent or short. */
export function readVendorVersion(
  ggep: readonly GgepEntry[],
): { readonly vendor: string; readonly major: number; readonly minor: number } | undefined {
  const value = findGgepValue(ggep, GgepId.VENDOR_VERSION);
  const version = value?.[4];
  if (value === undefined || version === undefined) return undefined;
  return { vendor: latin1(value, 0, 4), major: version >>> 4, minor: version & 0x0f };
}

/**
 * The hosts of IPP and IPP6 with their TLS bits, {@link MAX_PACKED_HOSTS} at most. A list that is broken counts as
 * empty; the PONG is otherwise good. Judge each address before use.
 */
export function readPackedHosts(ggep: readonly GgepEntry[]): PackedHost[] {
  const ipv4 = findGgepValue(ggep, GgepId.IPP);
  const ipv6 = findGgepValue(ggep, GgepId.IPP6);
  const hosts = [
    ...withTls(ipv4 && decodePackedHosts(ipv4), findGgepValue(ggep, GgepId.IPP_TLS)),
    ...withTls(ipv6 && decodePackedHosts6(ipv6), findGgepValue(ggep, GgepId.IPP6_TLS)),
  ];
  return hosts.slice(0, MAX_PACKED_HOSTS);
}

/** The address under which the sender saw us: GGEP IP with 6 or 18 bytes. */
export function readOwnAddress(ggep: readonly GgepEntry[]): PeerAddress | undefined {
  const value = findGgepValue(ggep, GgepId.OWN_ADDRESS);
  if (value === undefined || (value.length !== 6 && value.length !== IPV6_BYTES + 2)) return undefined;
  const port = readU16LE(value, value.length - 2);
  if (port === 0) return undefined;
  return { host: value.length === 6 ? ipv4ToText(ipv4At(value, 0)) : hostFromIpv6Bytes(value), port };
}

/**
 * What GGEP UDPHC says: undefined when absent, '' for a host cache at the PONG's own address, else its name in DNS.
 * A numeric address or rubbish in place of a name counts as ''.
 */
export function readUdpHostCache(ggep: readonly GgepEntry[]): string | undefined {
  if (findGgep(ggep, GgepId.UDP_HOST_CACHE) === undefined) return undefined;
  const value = findGgepValue(ggep, GgepId.UDP_HOST_CACHE) ?? new Uint8Array(0);
  const name = value.length > MAX_HOST_NAME_CHARS ? '' : lenientUtf8(value, 0, value.length);
  const isName = /^[a-z0-9-]{1,63}(?:\.[a-z0-9-]{1,63})+\.?$/i.test(name) && canonicalHost(name) === undefined;
  return isName ? name.toLowerCase() : '';
}

function withTls(hosts: readonly PeerAddress[] | undefined, bitmap: Uint8Array | undefined): PackedHost[] {
  return (hosts ?? []).map((address, i) => ({ address, takesTls: bitmap !== undefined && tlsBit(bitmap, i) }));
}
