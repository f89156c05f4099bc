// What we say of ourselves (docs/protocol/01-handshake.md §4 and §5, 13-peers.md).

import { GnutellaError } from '../errors.ts';
import { GNUTELLA_MEDIA_TYPE, QUERY_ROUTING_VERSION } from './capabilities.ts';
import type { PeerCapabilities } from './capabilities.ts';
import { encodeBlock, statusLine } from './encode-block.ts';
import { MAX_CRAWLER_LIST_BYTES, MAX_HOSTS_SENT, MAX_OWN_BLOCK_BYTES } from './limits.ts';
import { claimsAnotherVendor } from './vendor-policy.ts';

/** The node's own side of a handshake. */
export interface LocalHandshake {
  /** Ours; another vendor's name is refused. */
  readonly userAgent: string;
  readonly role: 'ultrapeer' | 'leaf';
  /** "ip:port" or "[ipv6]:port", said as Node and as Listen-IP. */
  readonly listenAddress?: string;
  /** "[ipv6]:port" beside an IPv4 `listenAddress`, said as Node-IPv6. */
  readonly listenAddress6?: string;
  /** Servent GUID, 16 bytes. */
  readonly guid?: Uint8Array;
  /** X-Degree, 1…1000: ultrapeer connections we aim at. */
  readonly degree: number;
  /** X-Max-TTL, 1…255. */
  readonly maxTtl: number;
  /** When the node started. */
  readonly liveSince?: Date;
  /** Whether we can inflate what a peer sends on this link. */
  readonly acceptDeflate: boolean;
  /** Whether we may deflate what we send on this link, if the peer can inflate. */
  readonly offerDeflate: boolean;
  /** X-Features, "sflag/0.1" and what else there is; "" leaves the header out. */
  readonly features: string;
  /** X-Guess version, only for a GUESS server. */
  readonly guess?: string;
}

export type HeaderList = [name: string, value: string][];

const GUID_BYTES = 16;
const NO_TRY_CODES = new Set([403, 406, 429, 550]);

/**
 * Checks what the caller says of itself.
 * @throws GnutellaError `bad-handshake` for another vendor's User-Agent or for values out of their range
 */
export function checkLocal(local: LocalHandshake): void {
  const problem = localProblem(local);
  if (problem !== undefined) throw new GnutellaError('bad-handshake', problem);
}

function localProblem(local: LocalHandshake): string | undefined {
  if (claimsAnotherVendor(local.userAgent)) return "the User-Agent is another vendor's";
  if (!Number.isInteger(local.degree) || local.degree < 1 || local.degree > 1000) return 'degree is out of 1…1000';
  if (!Number.isInteger(local.maxTtl) || local.maxTtl < 1 || local.maxTtl > 255) return 'maxTtl is out of 1…255';
  if (local.guid !== undefined && local.guid.length !== GUID_BYTES) return 'guid is not of 16 bytes';
  return undefined;
}

/**
 * The capability headers of blocks 1 and 2.
 * @param remoteIp the peer's address as we see it
 * @param answerTo the peer whose block is being answered; undefined in block 1
 */
export function capabilityHeaders(
  local: LocalHandshake,
  remoteIp: string,
  answerTo: PeerCapabilities | undefined,
): HeaderList {
  const headers: HeaderList = [];
  if (local.listenAddress !== undefined) {
    // gtk-gnutella reads and sends Node, LimeWire Listen-IP.
    headers.push(['Node', local.listenAddress], ['Listen-IP', local.listenAddress]);
  }
  if (local.listenAddress6 !== undefined) headers.push(['Node-IPv6', local.listenAddress6]);
  headers.push(['Remote-IP', remoteIp], ['User-Agent', local.userAgent]);
  headers.push(['Pong-Caching', '0.1'], ['Bye-Packet', '0.1'], ['GGEP', '0.5']);
  if (local.guid !== undefined) headers.push(['GUID', Buffer.from(local.guid).toString('hex')]);
  headers.push(['Vendor-Message', '0.2'], ['X-Query-Routing', `${answeredQueryRouting(answerTo)}`]);
  headers.push(['X-Requeries', 'False']);
  if (local.acceptDeflate) headers.push(['Accept-Encoding', 'deflate']);
  if (local.liveSince !== undefined) headers.push(['X-Live-Since', rfc822Date(local.liveSince)]);
  headers.push(['X-Ultrapeer', local.role === 'ultrapeer' ? 'True' : 'False']);
  headers.push(['X-Dynamic-Querying', '0.1'], ['X-Ultrapeer-Query-Routing', '0.1']);
  headers.push(['X-Degree', `${local.degree}`], ['X-Max-TTL', `${local.maxTtl}`]);
  if (local.role === 'ultrapeer') headers.push(['X-Ext-Probes', '0.1']);
  if (local.guess !== undefined) headers.push(['X-Guess', local.guess]);
  if (local.features !== '') headers.push(['X-Features', local.features]);
  if (answerTo?.accept !== undefined) headers.push(['Content-Type', GNUTELLA_MEDIA_TYPE]);
  return headers;
}

/** The answer never names a newer version than the peer did; a peer that names none learns what we speak. */
function answeredQueryRouting(peer: PeerCapabilities | undefined): number {
  return peer === undefined || peer.queryRouting === 0 ? QUERY_ROUTING_VERSION : peer.queryRouting;
}

export interface RefusalOptions {
  readonly userAgent: string;
  /** The peer's address as we see it. */
  readonly remoteIp: string;
  /** "ip:port" texts; the first ten are sent. */
  readonly tryUltrapeers?: readonly string[];
  /** Our role; undefined leaves it unsaid. */
  readonly ultrapeer?: boolean;
}

/**
 * A block that refuses: status line, User-Agent, Remote-IP, our role unless the code is 4xx or 550, and other
 * ultrapeers to try unless it is 403, 406, 429 or 550 (docs/protocol/01-handshake.md §5).
 * @throws GnutellaError `bad-handshake` for a code that refuses nothing
 */
export function refusalBlock(code: number, reason: string, options: RefusalOptions): Uint8Array {
  checkRefusalCode(code);
  const headers: HeaderList = [
    ['User-Agent', options.userAgent],
    ['Remote-IP', options.remoteIp],
  ];
  if (options.ultrapeer !== undefined && !hidesRole(code)) {
    headers.push(['X-Ultrapeer', options.ultrapeer ? 'True' : 'False']);
  }
  const hosts = options.tryUltrapeers ?? [];
  if (hosts.length > 0 && !NO_TRY_CODES.has(code)) headers.push(['X-Try-Ultrapeers', hostsToTry(hosts)]);
  return encodeBlock(statusLine(code, reason), headers);
}

function hidesRole(code: number): boolean {
  return (code >= 400 && code <= 499) || code === 550;
}

/** 204 and 300…999 refuse; anything else would invite the peer to go on. */
export function checkRefusalCode(code: number): void {
  const refuses = code === 204 || (Number.isInteger(code) && code >= 300 && code <= 999);
  if (!refuses) throw new GnutellaError('bad-handshake', `status ${code} is no refusal`);
}

/** The value of X-Try-Ultrapeers: ten hosts at the most. */
export function hostsToTry(hosts: readonly string[]): string {
  return hosts.slice(0, MAX_HOSTS_SENT).join(', ');
}

/**
 * The answer to a crawler: 200 OK with our ultrapeers and, being one ourselves, our leaves
 * (docs/protocol/01-handshake.md §7). The two lists take 8 KiB together; where they would take more, each may fill half
 * and what the other leaves free.
 */
export function crawlerBlock(
  local: LocalHandshake,
  remoteIp: string,
  peers: readonly string[],
  leaves: readonly string[],
): Uint8Array {
  const half = MAX_CRAWLER_LIST_BYTES / 2;
  const leavesNeed = local.role === 'ultrapeer' ? listBytes(leaves) : 0;
  const peerList = fitList(peers, MAX_CRAWLER_LIST_BYTES - Math.min(leavesNeed, half));
  const headers: HeaderList = [
    ['User-Agent', local.userAgent],
    ['Remote-IP', remoteIp],
    ['X-Ultrapeer', local.role === 'ultrapeer' ? 'True' : 'False'],
    ['Peers', peerList],
  ];
  if (local.role === 'ultrapeer') headers.push(['Leaves', fitList(leaves, MAX_CRAWLER_LIST_BYTES - peerList.length)]);
  if (local.liveSince !== undefined) headers.push(['X-Live-Since', rfc822Date(local.liveSince)]);
  return encodeBlock(statusLine(200, 'OK'), headers, MAX_OWN_BLOCK_BYTES + 2 * MAX_CRAWLER_LIST_BYTES);
}

function listBytes(hosts: readonly string[]): number {
  let bytes = 0;
  for (const host of hosts) bytes += host.length + 2;
  return bytes;
}

function fitList(hosts: readonly string[], mostBytes: number): string {
  let list = '';
  for (const host of hosts) {
    const grown = list === '' ? host : `${list}, ${host}`;
    if (grown.length > mostBytes) break;
    list = grown;
  }
  return list;
}

/** `Sat, 21 Nov 2026 01:00:00 +0000`. */
function rfc822Date(date: Date): string {
  return date.toUTCString().replace('GMT', '+0000');
}
