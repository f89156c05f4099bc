import { formatPeerAddress, isUsablePeerAddress, parsePeerAddress } from '@filbert/gnutella';
import { hostsSeen, type HostOutcome, type HostSeen } from '@filbert/contracts';
import type { Bus } from '@filbert/kit';

/** Hosts told in one message, and kept between two messages; further ones are dropped. */
export const MAX_HOSTS_PER_REPORT = 200;

/** Collects the addresses an edge learns and tells them to bootstrap about once a second. */
export class HostReporter {
  /** Addresses not told: unusable, or too many. */
  refused = 0;
  readonly #bus: Bus;
  readonly #edgeId: string;
  readonly #allowPrivate: boolean;
  #pending = new Map<string, HostSeen>();

  constructor(options: { readonly bus: Bus; readonly edgeId: string; readonly allowPrivate: boolean }) {
    this.#bus = options.bus;
    this.#edgeId = options.edgeId;
    this.#allowPrivate = options.allowPrivate;
  }

  /** Notes what became known of a host; data from the network, so the address is checked here. */
  note(address: string, outcome: HostOutcome, ultrapeer: boolean): void {
    const parsed = parsePeerAddress(address);
    if (parsed === undefined || !isUsablePeerAddress(parsed, { allowPrivate: this.#allowPrivate })) {
      this.refused++;
      return;
    }
    const key = `${formatPeerAddress(parsed)} ${outcome}`;
    if (this.#pending.size >= MAX_HOSTS_PER_REPORT && !this.#pending.has(key)) {
      this.refused++;
      return;
    }
    this.#pending.set(key, { address: formatPeerAddress(parsed), outcome, ultrapeer });
  }

  flush(): void {
    if (this.#pending.size === 0) return;
    this.#bus.publish(hostsSeen, { edgeId: this.#edgeId, hosts: [...this.#pending.values()] });
    this.#pending = new Map();
  }
}
