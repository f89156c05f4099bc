/** Most characters of a name that are compared: names are short, and the comparison costs their product. */
const MAX_COMPARED_CHARS = 64;

/** Levenshtein distance: how many characters must be put in, taken out or replaced to get from `a` to `b`. */
export function editDistance(a: string, b: string): number {
  let previous = Array.from({ length: b.length + 1 }, (_, column) => column);
  for (let row = 1; row <= a.length; row++) {
    const current = [row];
    for (let column = 1; column <= b.length; column++) {
      const replaced = (previous[column - 1] ?? 0) + (a[row - 1] === b[column - 1] ? 0 : 1);
      current.push(Math.min(replaced, (previous[column] ?? 0) + 1, (current[column - 1] ?? 0) + 1));
    }
    previous = current;
  }
  return previous[b.length] ?? 0;
}

/** The known name that `name` was probably meant to be: at most a third of it differs. Undefined where none is near. */
export function nearestName(name: string, known: Iterable<string>): string | undefined {
  const compared = name.slice(0, MAX_COMPARED_CHARS);
  let nearest: string | undefined;
  let least = Math.floor(compared.length / 3) + 1;
  for (const candidate of known) {
    const distance = editDistance(compared, candidate.slice(0, MAX_COMPARED_CHARS));
    if (distance < least) {
      least = distance;
      nearest = candidate;
    }
  }
  return nearest;
}
