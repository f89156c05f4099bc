import type { InternalLink } from '@filbert/contracts';
import {
  encodePush,
  guidToHex,
  pushAddressFields,
  randomMessageGuid,
  type Guid,
  type PeerAddress,
} from '@filbert/gnutella';
import { activeTraceparent } from '@filbert/kit';
import type { TransfersCounters } from '../counters.ts';
import type { GivWaiters } from '../giv/giv-waiters.ts';
import { AddressWindow } from '../http/address-window.ts';
import type { Connection } from '../network/connection.ts';

/** PUSHes to one servent within the window (docs/protocol/08-push-and-transfers.md §5). */
export const MAX_PUSHES_TO_SERVENT = 4;
const WINDOW_MS = 30_000;
const PUSH_TTL = 7;

export interface PushClientOptions {
  readonly waiters: GivWaiters;
  readonly counters: TransfersCounters;
  /** Undefined while the node has no link to itself. */
  readonly link: () => InternalLink | undefined;
  /** Where a GIV shall go; undefined while unknown. */
  readonly ownAddress: () => PeerAddress | undefined;
  readonly random: (bytes: number) => Uint8Array;
  /** ms, never goes back */
  readonly now: () => number;
}

/** Reaches firewalled sources: sends a PUSH along the way its hit came, and waits for the GIV. */
export class PushClient {
  readonly #options: PushClientOptions;
  readonly #sent: AddressWindow;

  constructor(options: PushClientOptions) {
    this.#options = options;
    this.#sent = new AddressWindow(MAX_PUSHES_TO_SERVENT, WINDOW_MS, options.now);
  }

  /** `no-push-route`: nothing could be sent, for want of a link or an address of our own. */
  async connect(
    serventGuid: Guid,
    index: number,
    timeoutMs: number,
    signal: AbortSignal,
  ): Promise<Connection | 'no-giv' | 'no-push-route'> {
    const { waiters, counters, random } = this.#options;
    const link = this.#options.link();
    const address = this.#options.ownAddress();
    if (link === undefined || address === undefined) return 'no-push-route';
    if (!this.#sent.admit(guidToHex(serventGuid))) return 'no-giv';
    const envelope = { guid: randomMessageGuid(random), ttl: PUSH_TTL };
    const frame = encodePush(envelope, {
      serventGuid,
      fileIndex: index,
      ...pushAddressFields(address),
    });
    const connection = await waiters.wait(serventGuid, timeoutMs, signal, () => {
      counters.pushesSent++;
      link.send(frame, activeTraceparent());
    });
    return connection ?? 'no-giv';
  }
}
