const MAX_NAME_CHARS = 4096;

/**
 * True for a file name that only serves to write outside a folder (docs/protocol/12-quirks-and-abuse.md §3): empty, a
 * component `.` or `..`, an empty component, a final slash; backslashes count as slashes.
 */
export function isEvilFileName(name: string): boolean {
  if (name === '' || name.length > MAX_NAME_CHARS || name.includes('\0')) return true;
  const components = name.replaceAll('\\', '/').split('/');
  // Any empty component: a leading slash makes the path absolute, a final one names a folder.
  return components.some((component) => component === '' || component === '.' || component === '..');
}
