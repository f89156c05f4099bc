import { HEADER_BYTES, HOPS_OFFSET, TTL_OFFSET, type SlotSet } from '@filbert/gnutella';
import type { PeerLink } from '../link/peer-link.ts';
import { NO_TABLE, tableChanges } from '@filbert/contracts';
import { dropBad, type EdgeContext } from './edge-context.ts';

/** After a RESET the old table answers until the new one is complete, at most so long (docs/protocol/README.md). */
export const RESET_GRACE_MS = 60_000;
/** A patch sequence whose next message does not come for this long is forgotten (docs/protocol/12 §7). */
export const HALF_PATCH_MS = 120_000;

/** Takes a QRP message; what changes in the link's table is told to the shards (docs/protocol/05 §3). */
export function handleQrp(context: EdgeContext, link: PeerLink, bytes: Buffer, start: number, end: number): void {
  const mayRoute = !link.isUltrapeer || link.peer.ultrapeerQueryRouting;
  if (!mayRoute || (bytes[start + HOPS_OFFSET] as number) !== 0 || (bytes[start + TTL_OFFSET] as number) > 1) {
    return dropBad(context, link, 'not-for-us');
  }
  const event = link.tables.receive(bytes.subarray(start + HEADER_BYTES, end));
  switch (event.kind) {
    case 'reset':
      link.resetAt ??= context.now();
      link.halfPatchAt = undefined;
      return;
    case 'partial':
      link.halfPatchAt = context.now();
      return;
    case 'updated':
      link.resetAt = undefined;
      link.halfPatchAt = undefined;
      tellTable(context, link, event.table);
      return;
    case 'ignored':
      return dropBad(context, link, 'malformed');
    case 'fault':
      link.bye(413, event.reason);
  }
}

/**
 * Ends the grace of links whose RESET was not followed by a complete table, and forgets patches that stopped half-way;
 * call it about once a second. A patch that still comes, slowly, goes on.
 */
export function expireResets(context: EdgeContext): void {
  const now = context.now();
  for (const link of context.links.all()) {
    if (link.halfPatchAt !== undefined && now - link.halfPatchAt >= HALF_PATCH_MS) {
      link.halfPatchAt = undefined;
      link.tables.discard();
    }
    if (link.resetAt === undefined || now - link.resetAt < RESET_GRACE_MS) continue;
    link.resetAt = undefined;
    if (link.table === undefined) continue;
    link.table = undefined;
    context.state.upsert(link, NO_TABLE);
  }
}

function tellTable(context: EdgeContext, link: PeerLink, table: SlotSet): void {
  const from = link.table;
  link.table = table;
  for (const change of tableChanges(from, table)) context.state.upsert(link, change);
}
