// Edges and link records for the tests of the router.
import { emptyLinkRecord, LinkKind, NO_TABLE, packed, type LinkRecord, type TableChange } from '@filbert/contracts';
import type { SlotSet } from '@filbert/gnutella';
import type { EdgeLinks, Link, LinkTable } from '../../services/router/src/link-table.ts';

export const ULTRAPEER = LinkKind.LINK_KIND_ULTRAPEER;
export const LEAF = LinkKind.LINK_KIND_LEAF;

export { NO_TABLE };

export function edgeOf(edgeId = 'edge-0', epoch = 1): EdgeLinks {
  return { edgeId, epoch, links: new Map() };
}

/** The whole of `table` as a change from nothing. */
export function wholeTable(table: SlotSet): TableChange {
  return { ...NO_TABLE, bits: table.bits, setSlots: packed(table.slots()) };
}

/** A change of a table that stays otherwise. */
export function tableDifference(bits: number, set: readonly number[], cleared: readonly number[] = []): TableChange {
  return {
    bits,
    reset: false,
    setSlots: packed(Uint32Array.from(set)),
    clearedSlots: packed(Uint32Array.from(cleared)),
    bitmap: new Uint8Array(0),
  };
}

/** The record of a leaf unless `facts` say otherwise. */
export function recordOf(link: number, facts: Partial<LinkRecord> = {}): LinkRecord {
  return { ...emptyLinkRecord(link), kind: LEAF, ...facts };
}

export function goneRecord(link: number): LinkRecord {
  return { ...emptyLinkRecord(link), gone: true };
}

/** Applies a record and returns the link it speaks of. */
export function applied(links: LinkTable, edge: EdgeLinks, record: LinkRecord): Link {
  links.apply(edge, record);
  const link = edge.links.get(record.link);
  if (link === undefined) throw new Error(`link ${record.link} is not there`);
  return link;
}
