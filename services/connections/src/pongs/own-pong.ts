import {
  encodePong,
  freeSlotsField,
  GgepId,
  encodePackedHosts,
  HEADER_BYTES,
  ipv4FromText,
  NO_IPV4,
  vendorVersionField,
  ZERO_GUID,
  type PeerAddress,
} from '@filbert/gnutella';
import type { NodeFacts } from '@filbert/contracts';
import type { PeerLink } from '../link/peer-link.ts';

/** What our own pong says is made anew this often, not for each of the pings that ask for it. */
export const OWN_PONG_MS = 1_000;
/** Payloads kept: one for each of our addresses that links reached. All are forgotten when there are more. */
export const MAX_OWN_PONGS = 16;
const VENDOR_CODE = 'FLBT';
const VERSION = { major: 0, minor: 1 };

export interface OwnPongOptions {
  readonly facts: () => NodeFacts;
  readonly freeSlots: () => { readonly leaves: number; readonly ultrapeers: number };
  /** The node's own address as this peer should know it; undefined where it is not known. */
  readonly ownAddress: (link: PeerLink) => PeerAddress | undefined;
  /** ms, monotonic */
  readonly now: () => number;
}

/** The payload of our own pong (docs/protocol/04 §3). */
export class OwnPong {
  readonly #options: OwnPongOptions;
  /** By our end of the link. */
  readonly #payloads = new Map<string, Uint8Array | undefined>();
  #since = Number.NEGATIVE_INFINITY;

  constructor(options: OwnPongOptions) {
    this.#options = options;
  }

  /** The payload for this link; undefined where we do not know our address. */
  payload(link: PeerLink): Uint8Array | undefined {
    const now = this.#options.now();
    if (now - this.#since >= OWN_PONG_MS || this.#payloads.size >= MAX_OWN_PONGS) {
      this.#payloads.clear();
      this.#since = now;
    }
    const known = this.#payloads.get(link.localIp);
    if (known !== undefined) return known;
    const made = this.payloadWith(link, []);
    this.#payloads.set(link.localIp, made);
    return made;
  }

  /** The same with these hosts packed into it. */
  payloadWith(link: PeerLink, hosts: readonly PeerAddress[]): Uint8Array | undefined {
    const own = this.#options.ownAddress(link);
    if (own === undefined) return undefined;
    const { leaves, ultrapeers } = this.#options.freeSlots();
    const facts = this.#options.facts();
    const ggep = [
      vendorVersionField(VENDOR_CODE, VERSION.major, VERSION.minor),
      freeSlotsField({ leafSlots: leaves, ultrapeerSlots: ultrapeers }),
    ];
    if (hosts.length > 0) ggep.push({ id: GgepId.IPP, value: encodePackedHosts(hosts) });
    const fields = {
      port: own.port,
      ip: ipv4FromText(own.host) ?? NO_IPV4,
      files: facts.sharedFiles,
      kib: facts.sharedKib,
      isUltrapeer: true,
      ggep,
    };
    return encodePong({ guid: ZERO_GUID, ttl: 1 }, fields).subarray(HEADER_BYTES);
  }
}
