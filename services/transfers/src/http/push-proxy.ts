// Push proxy over HTTP (docs/protocol/08-push-and-transfers.md §3.2).
import {
  classifyHost,
  encodePush,
  GgepId,
  guidFromBase32,
  guidFromHex,
  isUsablePeerAddress,
  parsePeerAddress,
  pushAddressFields,
  randomMessageGuid,
  type Guid,
  type PeerAddress,
  limitKey,
} from '@filbert/gnutella';
import { PushProxyResult, routerPush, ShardMap, type NodeFacts } from '@filbert/contracts';
import { BusError, type Bus } from '@filbert/kit';
import { AddressWindow } from './address-window.ts';
import { decodePercent } from './request.ts';
import { refusal, type Answer } from './response.ts';

/** PUSHes that one address may ask for within the window. */
export const MAX_PROXY_REQUESTS_PER_WINDOW = 20;
const WINDOW_MS = 30_000;
/** How long a shard may take to answer, in ms. */
const ASK_TIMEOUT_MS = 1_000;
const PUSH_TTL = 7;
const MAX_INDEX = 0xffff_ffff;
/** Parameters of a request that are read. */
const MAX_PARAMETERS = 16;

export interface PushProxyOptions {
  readonly bus: Bus;
  /** Undefined until bootstrap told them. */
  readonly facts: () => NodeFacts | undefined;
  readonly allowPrivate: boolean;
  /** Whether the limits per address apply to this one. */
  readonly isLimited: (ip: string) => boolean;
  readonly random: (bytes: number) => Uint8Array;
  /** ms, never goes back */
  readonly now: () => number;
}

/** What a request asks for. */
export interface ProxyParameters {
  readonly serventGuid: Guid;
  readonly index: number;
  readonly wantsTls: boolean;
}

/** Answers requests to pass a PUSH on: to a neighbour, or along the way of a servent's hits. */
export class PushProxyServer {
  readonly #options: PushProxyOptions;
  readonly #requests: AddressWindow;

  constructor(options: PushProxyOptions) {
    this.#options = options;
    this.#requests = new AddressWindow(MAX_PROXY_REQUESTS_PER_WINDOW, WINDOW_MS, options.now);
  }

  /** @param remote who asks @param parameters of the request's target, behind the question mark */
  async answer(remote: PeerAddress, parameters: string, headers: ReadonlyMap<string, string>): Promise<Answer> {
    if (this.#options.isLimited(remote.host) && !this.#requests.admit(limitKey(remote.host))) return tooOften();
    const asked = parseProxyParameters(parameters);
    const node = this.#node(remote, headers);
    if (asked === undefined || node === undefined) return refusal(400, 'Push-Proxy: Bad Request', 'bad-request');
    const { serventGuid, index, wantsTls } = asked;
    const where = pushAddressFields(node);
    const frame = encodePush(
      { guid: randomMessageGuid(this.#options.random), ttl: PUSH_TTL },
      {
        serventGuid,
        fileIndex: index,
        ...where,
        ggep: [...where.ggep, ...(wantsTls ? [{ id: GgepId.TLS, value: new Uint8Array(0) }] : [])],
      },
    );
    switch (await this.#ask(serventGuid, frame)) {
      case PushProxyResult.PUSH_PROXY_RESULT_SENT:
        return { status: 202, reason: 'Push-Proxy: Message Sent', result: 'ok' };
      case PushProxyResult.PUSH_PROXY_RESULT_ROUTED:
        return { status: 203, reason: 'Push-Proxy: Message Sent', result: 'ok' };
      case PushProxyResult.PUSH_PROXY_RESULT_TOO_OFTEN:
        return tooOften();
      default:
        return refusal(410, 'Push-Proxy: Servent not connected', 'gone');
    }
  }

  async #ask(serventGuid: Guid, push: Uint8Array): Promise<PushProxyResult> {
    const { bus } = this.#options;
    const facts = this.#options.facts();
    if (facts === undefined) return PushProxyResult.PUSH_PROXY_RESULT_NOT_CONNECTED;
    const shard = new ShardMap(facts.shards, facts.shardMapVersion, facts.nodeSecret).shardOf(serventGuid, 0);
    try {
      return (await bus.request(routerPush(shard), { push }, { timeoutMs: ASK_TIMEOUT_MS })).result;
    } catch (error) {
      if (error instanceof BusError) return PushProxyResult.PUSH_PROXY_RESULT_NOT_CONNECTED;
      throw error;
    }
  }

  /**
   * Where the GIV shall go. It must be the address of who asks: else we would have others connect to wherever they are told
   * (docs/protocol/08 §3.2). Within a closed network both may differ, for addresses may be translated there.
   */
  #node(remote: PeerAddress, headers: ReadonlyMap<string, string>): PeerAddress | undefined {
    const { allowPrivate, isLimited } = this.#options;
    for (const name of ['x-node', 'x-node-ipv6']) {
      const node = parsePeerAddress((headers.get(name) ?? '').trim());
      if (node === undefined || !isUsablePeerAddress(node, { allowPrivate })) continue;
      const bothPrivate = !isLimited(remote.host) && classifyHost(node.host) !== 'public';
      if (node.host === remote.host || bothPrivate) return node;
    }
    return undefined;
  }
}

/**
 * Reads `ServerId=<26 base32>` or `guid=<32 hex>`, `file=` and `tls=`, in any order and case, with percent escapes.
 * @returns undefined where no servent or more than one is named, or one in the other's form, or two files
 */
export function parseProxyParameters(parameters: string): ProxyParameters | undefined {
  const servents: (Guid | undefined)[] = [];
  const indexes: number[] = [];
  let wantsTls = false;
  for (const part of parameters.split('&', MAX_PARAMETERS)) {
    const text = decodePercent(part) ?? '';
    const equals = text.indexOf('=');
    const value = equals < 0 ? '' : text.slice(equals + 1);
    switch (text.slice(0, Math.max(0, equals)).toLowerCase()) {
      case 'serverid':
        servents.push(guidFromBase32(value));
        break;
      case 'guid':
        servents.push(guidFromHex(value));
        break;
      case 'file':
        indexes.push(/^\d{1,10}$/.test(value) ? Number(value) : Number.NaN);
        break;
      case 'tls':
        wantsTls = value.toLowerCase() === 'true';
    }
  }
  const [serventGuid, ...others] = servents;
  const [index = 0, ...furtherIndexes] = indexes;
  if (serventGuid === undefined || others.length + furtherIndexes.length > 0 || !(index <= MAX_INDEX)) return undefined;
  return { serventGuid, index, wantsTls };
}

function tooOften(): Answer {
  return refusal(503, 'Push-Proxy: Too many requests', 'too-often', { headers: [`Retry-After: ${WINDOW_MS / 1_000}`] });
}
