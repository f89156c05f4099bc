/** Tables up to this full are believed. */
const UNQUESTIONED_FILL = 0.05;

/**
 * Percentage of the matching queries to forward to a leaf with a fuller table while its send queue is not empty: the
 * fuller the table, the less a match says (docs/protocol/05-qrp.md §7).
 * @param fill share of the table's slots that are set, 0…1
 * @returns a whole number, 100 for up to 5 % full
 */
export function fullTablePassPercent(fill: number): number {
  if (fill <= UNQUESTIONED_FILL) return 100;
  return Math.floor(100 * (1 - (fill - UNQUESTIONED_FILL) ** 0.4));
}
