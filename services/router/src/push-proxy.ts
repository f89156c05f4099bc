import { Descriptor, FUNCTION_OFFSET, GUID_BYTES, HEADER_BYTES, PUSH_BYTES, TTL_OFFSET } from '@filbert/gnutella';
import { PushProxyResult } from '@filbert/contracts';
import { createProxiedPushes, MAX_PROXIED_PUSHES, PROXIED_PUSH_WINDOW_MS, ProxiedColumn } from './routes.ts';
import type { RouterShard } from './shard.ts';

/** What became of PUSHes asked for over HTTP: labels of a metric. */
export const PUSH_PROXY_RESULTS = ['sent', 'routed', 'not-connected', 'too-often', 'malformed'] as const;
export type PushProxyOutcome = (typeof PUSH_PROXY_RESULTS)[number];

/** TTL of a PUSH to a neighbour (docs/protocol/08 §3.2). */
const NEIGHBOUR_TTL = 1;

/** Passes PUSHes on that somebody asked for over HTTP, since we are the push proxy of the servent (docs/protocol/08 §3.2). */
export class PushProxy {
  readonly results: Record<PushProxyOutcome, number> = {
    sent: 0,
    routed: 0,
    'not-connected': 0,
    'too-often': 0,
    malformed: 0,
  };
  readonly #shard: Pick<RouterShard, 'links' | 'servents' | 'outbox'>;
  readonly #now: () => number;
  readonly #proxied;

  /** @param now ms, monotonic */
  constructor(shard: Pick<RouterShard, 'links' | 'servents' | 'outbox'>, now: () => number) {
    this.#shard = shard;
    this.#now = now;
    this.#proxied = createProxiedPushes(now);
  }

  /** @param push a whole PUSH frame; its TTL counts where the servent is no neighbour */
  ask(push: Uint8Array): PushProxyResult {
    const outcome = this.#pass(push);
    this.results[outcome]++;
    switch (outcome) {
      case 'sent':
        return PushProxyResult.PUSH_PROXY_RESULT_SENT;
      case 'routed':
        return PushProxyResult.PUSH_PROXY_RESULT_ROUTED;
      case 'too-often':
        return PushProxyResult.PUSH_PROXY_RESULT_TOO_OFTEN;
      default:
        return PushProxyResult.PUSH_PROXY_RESULT_NOT_CONNECTED;
    }
  }

  #pass(push: Uint8Array): PushProxyOutcome {
    if (push.length < HEADER_BYTES + PUSH_BYTES || push[FUNCTION_OFFSET] !== Descriptor.PUSH) return 'malformed';
    const { links, outbox, servents } = this.#shard;
    const servent = Buffer.from(push.buffer, push.byteOffset + HEADER_BYTES, GUID_BYTES);
    const neighbour = links.byGuid(servent);
    const link = neighbour ?? servents.wayTo(servent);
    if (link === undefined) return 'not-connected';
    if (!this.#admit(servent)) return 'too-often';
    const ttl = neighbour === undefined ? link.limitTtl(push[TTL_OFFSET] as number) : NEIGHBOUR_TTL;
    outbox.send(push, 0, push.length, ttl, 0, link);
    return neighbour === undefined ? 'routed' : 'sent';
  }

  #admit(servent: Uint8Array): boolean {
    const nowS = Math.floor(this.#now() / 1_000);
    let at = this.#proxied.find(servent, 0);
    if (at >= 0 && nowS - this.#proxied.get(at, ProxiedColumn.sinceS) < PROXIED_PUSH_WINDOW_MS / 1_000) {
      // A copy that were left in the older generation would be forgotten before its time is over.
      at = this.#proxied.promote(at);
      const count = this.#proxied.get(at, ProxiedColumn.count);
      if (count >= MAX_PROXIED_PUSHES) return false;
      this.#proxied.set(at, ProxiedColumn.count, count + 1);
      return true;
    }
    at = at < 0 ? this.#proxied.insert(servent, 0) : this.#proxied.promote(at);
    this.#proxied.set(at, ProxiedColumn.count, 1);
    this.#proxied.set(at, ProxiedColumn.sinceS, nowS);
    return true;
  }
}
