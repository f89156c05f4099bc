import { format, resolveConfig } from 'prettier';

/** A Markdown table. Cells may hold Markdown; bars and line breaks in them are escaped. */
export function markdownTable(head: readonly string[], rows: readonly (readonly string[])[]): string {
  const line = (cells: readonly string[]): string =>
    `| ${cells.map((cell) => cell.replaceAll('|', '\\|').replaceAll('\n', ' ')).join(' | ')} |`;
  return [line(head), line(head.map(() => '---')), ...rows.map(line)].join('\n');
}

/** Code in a cell; nothing for an empty text. */
export function code(text: string): string {
  return text === '' ? '' : `\`${text}\``;
}

/** The page as the formatter leaves it, so that a generated page passes the format check. */
export async function formatted(page: string, path: string): Promise<string> {
  return format(page, { ...(await resolveConfig(path)), filepath: path });
}
