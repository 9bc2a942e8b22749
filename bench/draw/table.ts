/**
 * Tables as text: aligned for the terminal, or Markdown.
 *
 * Pure; the first row is the head. Rows may be shorter than the head: what is missing is empty.
 */

export type Cells = readonly string[];

/** Lines with columns of equal width, two spaces between them, nothing at their ends. */
export function alignTable(rows: readonly Cells[]): readonly string[] {
  const count = Math.max(0, ...rows.map((row) => row.length));
  const widths = Array.from({ length: count }, (_, column) =>
    Math.max(...rows.map((row) => row[column]?.length ?? 0)),
  );
  return rows.map((row) =>
    row
      .map((cell, column) => cell.padEnd(widths[column]!))
      .join('  ')
      .trimEnd(),
  );
}

export function markdownTable(rows: readonly Cells[]): readonly string[] {
  const [head, ...body] = rows;
  if (head === undefined) return [];
  const line = (cells: Cells) =>
    `| ${head.map((_, column) => escapeCell(cells[column] ?? '')).join(' | ')} |`;
  return [line(head), `| ${head.map(() => '---').join(' | ')} |`, ...body.map(line)];
}

/** What Markdown would read as emphasis, a tag or a link stays text; single '_' and '<=' are text. */
export function escapeMarkdown(text: string): string {
  return text.replaceAll(/[\\*`]|<(?=[a-z/!])|\[(?=[^\]]*\]\()/gi, (found) => `\\${found}`);
}

function escapeCell(text: string): string {
  return escapeMarkdown(text).replaceAll('|', '\\|').replaceAll(/\s+/g, ' ');
}
