import type { Link } from './link-table.ts';

/** A frame that has made as many hops is dropped: there is no room for one more in its header. */
export const MAX_HOPS = 255;

/** Links that a frame crossed by coming from this one: none from the node's own services. */
export function hopOf(from: Link): 0 | 1 {
  return from.isInternal ? 0 : 1;
}
