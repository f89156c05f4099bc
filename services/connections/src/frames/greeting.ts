import { encodeFeaturesSupported, encodeMessagesSupported, FeatureName, VendorMessage } from '@filbert/gnutella';
import { OutClass } from '../link/out-queue.ts';
import type { PeerLink } from '../link/peer-link.ts';
import type { EdgeContext } from './edge-context.ts';
import { sendRefillPing } from './ping.ts';

/** Vendor messages that this edge acts on; a peer sends no others (docs/protocol/07 §1). */
const MESSAGES = encodeMessagesSupported([
  VendorMessage.HOPS_FLOW,
  VendorMessage.PUSH_PROXY_REQUEST_1,
  VendorMessage.PUSH_PROXY_REQUEST,
  VendorMessage.PUSH_PROXY_CANCEL,
]);
const FEATURES = encodeFeaturesSupported([{ name: FeatureName.WHATS_NEW, version: 1 }]);

/** What a new link gets first: gtk-gnutella's start-up messages (docs/protocol/13-peers.md). */
export function greet(context: EdgeContext, link: PeerLink): void {
  if (link.peer.vendorMessage) {
    link.send(OutClass.control, MESSAGES);
    link.send(OutClass.control, FEATURES);
  }
  if (link.outgoing) sendRefillPing(link);
  if (link.isUltrapeer && link.peer.ultrapeerQueryRouting) context.merged.add(link);
}
