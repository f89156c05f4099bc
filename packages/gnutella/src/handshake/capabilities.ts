// What a peer says of itself, header by header (docs/protocol/01-handshake.md §4).

import { parseAddressList, parseTryUltrapeers } from '../address/address-list.ts';
import { canonicalHost, formatPeerAddress } from '../address/peer-address.ts';
import type { HandshakeHeaders } from './headers.ts';
import { MAX_LISTEN_ADDRESSES, MAX_TOKENS_READ, MAX_USER_AGENT_CHARS } from './limits.ts';
import { listMembers } from './text.ts';

export type PeerRole = 'ultrapeer' | 'leaf' | 'none';

/** How the peer says it will encode what it sends: `unsupported` is anything but deflate. */
export type ContentEncoding = 'none' | 'deflate' | 'unsupported';

/** The X-Degree of a peer that names none, or one out of 1…1000. */
export const DEFAULT_DEGREE = 8;
/** The X-Max-TTL of a peer that names none, or one out of 1…255; the smaller of ours and this one is used. */
export const DEFAULT_MAX_TTL = 7;
/** The newest X-Query-Routing we speak; a link with more is refused by gtk-gnutella (13-peers.md). */
export const QUERY_ROUTING_VERSION = 0.2;
/** The token of Gnutella in Accept and Content-Type. */
export const GNUTELLA_MEDIA_TYPE = 'application/x-gnutella-packets';

const MAX_DEGREE = 1000;
const MAX_TTL = 255;

/** Typed capabilities of a peer, each absent header with its default. Nothing in here has been verified. */
export interface PeerCapabilities {
  /** BearShare's X-Ultrapeer-Needed without X-Ultrapeer counts as ultrapeer; neither is a 0.4-style node: `none`. */
  readonly role: PeerRole;
  readonly userAgent: string | undefined;
  /** Where the peer says it listens, "ip:port" or "[ipv6]:port", IPv4 preferred. */
  readonly listenAddress: string | undefined;
  /** Its IPv6 listening address "[ipv6]:port", if it names one. */
  readonly listenAddress6: string | undefined;
  /** Our address as the peer sees it. Believe it only with other witnesses. */
  readonly remoteIp: string | undefined;
  readonly ultrapeerNeeded: boolean | undefined;
  /** The peer can inflate. */
  readonly acceptsDeflate: boolean;
  /** The peer deflates what it sends. */
  readonly sendsDeflate: boolean;
  readonly contentEncoding: ContentEncoding;
  readonly pongCaching: boolean;
  readonly bye: boolean;
  readonly ggep: boolean;
  readonly vendorMessage: boolean;
  /** The version both sides can speak: 0 (none), 0.1 or 0.2. */
  readonly queryRouting: 0 | 0.1 | 0.2;
  readonly ultrapeerQueryRouting: boolean;
  readonly dynamicQuerying: boolean;
  /** Ultrapeer connections it aims at, 1…1000. */
  readonly degree: number;
  /** The largest TTL it wants in queries, 1…255. */
  readonly maxTtl: number;
  readonly extProbes: boolean;
  readonly guess: boolean;
  /** Whether it may repeat its queries by itself: true unless it says X-Requeries: False. */
  readonly requeries: boolean;
  /** X-Features: names in lower case with their version ("" when none was given). */
  readonly features: ReadonlyMap<string, string>;
  /** Understands flags in the length field (02-messages.md §1). */
  readonly sflag: boolean;
  /** Takes TLS connections. */
  readonly tls: boolean;
  readonly hsep: boolean;
  readonly browse: boolean;
  readonly liveSince: Date | undefined;
  /** From the older `Uptime: 3D 04H 12M`. */
  readonly uptimeSeconds: number | undefined;
  /** The servent GUID, 16 bytes. */
  readonly guid: Uint8Array | undefined;
  readonly crawler: boolean;
  /** `Upgrade: TLS/1.0`. */
  readonly upgradeTls: boolean;
  /** `Connection: Upgrade`. */
  readonly connectionUpgrade: boolean;
  /** Ultrapeers to try instead, "ip:port" or "[ipv6]:port", 20 at the most. */
  readonly tryUltrapeers: readonly string[];
  /** Media types of Accept, in lower case without parameters; undefined without the header. */
  readonly accept: readonly string[] | undefined;
  /** False for a peer that takes or sends Gnutella2 alone. */
  readonly speaksGnutella: boolean;
  /** X-Auth-Challenge or FP-Auth-Challenge: a closed network. */
  readonly authChallenge: string | undefined;
}

/** Turns the headers of a block into capabilities. Never fails: a value that makes no sense counts as absent. */
export function readCapabilities(headers: HandshakeHeaders): PeerCapabilities {
  const listen = readListenAddresses(headers);
  const contentEncoding = readContentEncoding(headers.get('Content-Encoding'));
  const features = readFeatures(headers.get('X-Features'));
  const accept = readAccept(headers.get('Accept'));
  return {
    role: readRole(headers),
    userAgent: headers.get('User-Agent')?.slice(0, MAX_USER_AGENT_CHARS) || undefined,
    listenAddress: listen.find((address) => !address.startsWith('[')) ?? listen[0],
    listenAddress6: listen.find((address) => address.startsWith('[')),
    remoteIp: canonicalHost(headers.get('Remote-IP') ?? ''),
    ultrapeerNeeded: readBoolean(headers.get('X-Ultrapeer-Needed')),
    acceptsDeflate: codings(headers.get('Accept-Encoding')).includes('deflate'),
    sendsDeflate: contentEncoding === 'deflate',
    contentEncoding,
    pongCaching: atLeast(headers.get('Pong-Caching'), 0, 1),
    bye: atLeast(headers.get('Bye-Packet'), 0, 1),
    ggep: atLeast(headers.get('GGEP'), 0, 5),
    vendorMessage: atLeast(headers.get('Vendor-Message'), 0, 1),
    queryRouting: readQueryRouting(headers.get('X-Query-Routing')),
    ultrapeerQueryRouting: atLeast(headers.get('X-Ultrapeer-Query-Routing'), 0, 1),
    dynamicQuerying: atLeast(headers.get('X-Dynamic-Querying'), 0, 1),
    degree: readInteger(headers.get('X-Degree'), MAX_DEGREE) ?? DEFAULT_DEGREE,
    maxTtl: readInteger(headers.get('X-Max-TTL'), MAX_TTL) ?? DEFAULT_MAX_TTL,
    extProbes: atLeast(headers.get('X-Ext-Probes'), 0, 1),
    guess: atLeast(headers.get('X-Guess'), 0, 1),
    requeries: readBoolean(headers.get('X-Requeries')) ?? true,
    features,
    sflag: features.has('sflag'),
    tls: features.has('tls'),
    hsep: features.has('hsep'),
    browse: features.has('browse'),
    liveSince: readDate(headers.get('X-Live-Since')),
    uptimeSeconds: readUptime(headers.get('Uptime')),
    guid: readGuid(headers.get('GUID')),
    crawler: atLeast(headers.get('Crawler'), 0, 1),
    upgradeTls: /^TLS\//i.test(headers.get('Upgrade') ?? ''),
    connectionUpgrade: codings(headers.get('Connection')).includes('upgrade'),
    tryUltrapeers: parseTryUltrapeers(headers.get('X-Try-Ultrapeers') ?? '').map(formatPeerAddress),
    accept,
    speaksGnutella: readSpeaksGnutella(accept, headers.get('Content-Type')),
    authChallenge: headers.get('X-Auth-Challenge') ?? headers.get('FP-Auth-Challenge'),
  };
}

/** The X-Query-Routing version that both sides speak: 0 without the header, else 0.1 or 0.2. */
export function readQueryRouting(value: string | undefined): 0 | 0.1 | 0.2 {
  if (atLeast(value, 0, 2)) return QUERY_ROUTING_VERSION;
  return atLeast(value, 0, 1) ? 0.1 : 0;
}

/** True and False in any case; undefined for all else. */
export function readBoolean(value: string | undefined): boolean | undefined {
  if (value === undefined) return undefined;
  if (/^true$/i.test(value)) return true;
  return /^false$/i.test(value) ? false : undefined;
}

function readRole(headers: HandshakeHeaders): PeerRole {
  if (!headers.has('X-Ultrapeer')) return headers.has('X-Ultrapeer-Needed') ? 'ultrapeer' : 'none';
  const isUltrapeer = readBoolean(headers.get('X-Ultrapeer'));
  if (isUltrapeer === undefined) return 'none';
  return isUltrapeer ? 'ultrapeer' : 'leaf';
}

/** Versions are compared as major and minor numbers, so that 0.10 is newer than 0.2. */
function atLeast(value: string | undefined, major: number, minor: number): boolean {
  const match = /^(\d{1,3})(?:\.(\d{1,3}))?$/.exec(value ?? '');
  if (!match) return false;
  const theirs = Number(match[1]);
  return theirs > major || (theirs === major && Number(match[2] ?? 0) >= minor);
}

function readInteger(value: string | undefined, most: number): number | undefined {
  if (value === undefined || !/^\d{1,9}$/.test(value)) return undefined;
  const number = Number(value);
  return number >= 1 && number <= most ? number : undefined;
}

function readListenAddresses(headers: HandshakeHeaders): string[] {
  const addresses: string[] = [];
  for (const name of ['Listen-IP', 'Node', 'X-My-Address', 'Node-IPv6']) {
    const named = parseAddressList(headers.get(name) ?? '', { max: MAX_LISTEN_ADDRESSES });
    addresses.push(...named.map(formatPeerAddress));
  }
  return addresses;
}

/** Lower-case members of a list; only an exact "deflate" is deflate, so parameters stay on. */
function codings(value: string | undefined): string[] {
  return listMembers(value, MAX_TOKENS_READ).map((coding) => coding.toLowerCase());
}

function readContentEncoding(value: string | undefined): ContentEncoding {
  const applied = codings(value).filter((coding) => coding !== 'identity');
  if (applied.length === 0) return 'none';
  return applied.every((coding) => coding === 'deflate') ? 'deflate' : 'unsupported';
}

function readFeatures(value: string | undefined): ReadonlyMap<string, string> {
  const features = new Map<string, string>();
  for (const member of listMembers(value, MAX_TOKENS_READ)) {
    const slash = member.indexOf('/');
    const name = (slash < 0 ? member : member.slice(0, slash)).trim().toLowerCase();
    if (name !== '' && !features.has(name)) features.set(name, slash < 0 ? '' : member.slice(slash + 1).trim());
  }
  return features;
}

function readAccept(value: string | undefined): string[] | undefined {
  if (value === undefined) return undefined;
  return listMembers(value, MAX_TOKENS_READ).map((type) => mediaType(type));
}

function readSpeaksGnutella(accept: readonly string[] | undefined, contentType: string | undefined): boolean {
  if (accept !== undefined && accept.length > 0) return accept.includes(GNUTELLA_MEDIA_TYPE) || accept.includes('*/*');
  return contentType === undefined || mediaType(contentType) !== 'application/x-gnutella2';
}

function mediaType(value: string): string {
  const end = value.indexOf(';');
  return (end < 0 ? value : value.slice(0, end)).trim().toLowerCase();
}

function readDate(value: string | undefined): Date | undefined {
  if (value === undefined || value.length > 64) return undefined;
  const date = new Date(value);
  return Number.isNaN(date.getTime()) ? undefined : date;
}

function readUptime(value: string | undefined): number | undefined {
  const match = /^(\d{1,5})D (\d{1,2})H (\d{1,2})M$/i.exec(value ?? '');
  if (!match) return undefined;
  return Number(match[1]) * 86_400 + Number(match[2]) * 3600 + Number(match[3]) * 60;
}

/** An all-zero GUID identifies nobody and counts as none. */
function readGuid(value: string | undefined): Uint8Array | undefined {
  if (value === undefined || !/^[0-9a-f]{32}$/i.test(value) || /^0+$/.test(value)) return undefined;
  return Buffer.from(value, 'hex');
}
