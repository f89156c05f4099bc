// Edges and link records for the tests of the router.
import { emptyLinkRecord, LinkKind, packed, type LinkRecord, type TableChange } from '@filbert/contracts';
import type { SlotSet } from '@filbert/gnutella';
import type { EdgeLinks, Link, LinkTable } from '../../services/router/src/link-table.ts';

export const ULTRAPEER = LinkKind.LINK_KIND_ULTRAPEER;
export const LEAF = LinkKind.LINK_KIND_LEAF;

export const NO_TABLE: TableChange = {
  bits: 0,
  reset: true,
  setSlots: new Uint8Array(0),
  clearedSlots: new Uint8Array(0),
};

export function edgeOf(edgeId = 'edge-0', epoch = 1): EdgeLinks {
  return { edgeId, epoch, links: new Map() };
}

/** The whole of `table` as a change from nothing. */
export function wholeTable(table: SlotSet): TableChange {
  return { bits: table.bits, reset: true, setSlots: packed(table.slots()), clearedSlots: new Uint8Array(0) };
}

/** A change of a table that stays otherwise. */
export function tableDifference(bits: number, set: readonly number[], cleared: readonly number[] = []): TableChange {
  return {
    bits,
    reset: false,
    setSlots: packed(Uint32Array.from(set)),
    clearedSlots: packed(Uint32Array.from(cleared)),
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
