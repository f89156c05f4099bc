import type { LinkKind } from '@filbert/contracts';
import type { SlotSet } from '@filbert/gnutella';

/** A link of the node to itself: routing knows it as any other. */
export interface InternalLink {
  readonly number: number;
  setTable(table: SlotSet): void;
  /** Sends one whole frame into the network. */
  send(frame: Uint8Array): void;
  close(): void;
}

export interface InternalLinkOptions {
  /** 16 bytes: PUSHes for this servent arrive on the link. */
  readonly serventGuid?: Uint8Array;
  /** A frame `bytes[start, end)` for the link, header included; the bytes are only good during the call. */
  onFrame(bytes: Uint8Array, start: number, end: number, ttl: number, hops: number): void;
}

/** Opens links for parts of the node that send and receive frames themselves. */
export interface InternalEdge {
  openLink(kind: LinkKind, options: InternalLinkOptions): InternalLink;
}
