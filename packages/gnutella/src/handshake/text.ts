// What may stand in a line of the handshake, in both directions.

// eslint-disable-next-line no-control-regex -- control characters are what is looked for
const CONTROLS = /[\u0000-\u001f\u007f]+/g;
const BEYOND_LATIN1 = /[^\u0000-\u00ff]/gu; // eslint-disable-line no-control-regex -- the bounds of Latin-1

/** A peer's text without its control characters, so that it can be logged and compared. */
export function stripControls(text: string): string {
  return text.replace(CONTROLS, '');
}

/**
 * Our text as it may go into a line: control characters become a space, so nothing can start a line of its own, and
 * what ISO-8859-1 lacks becomes "?" (encoding would keep its low byte only, which may well be a line end).
 */
export function sanitizeForLine(text: string): string {
  return text.replace(CONTROLS, ' ').replace(BEYOND_LATIN1, '?').trim();
}

/** The non-empty members of a comma-separated list, trimmed, `most` at the most. */
export function listMembers(value: string | undefined, most: number): string[] {
  const members: string[] = [];
  if (value === undefined) return members;
  for (const part of value.split(',')) {
    const member = part.trim();
    if (member === '') continue;
    members.push(member);
    if (members.length === most) break;
  }
  return members;
}
