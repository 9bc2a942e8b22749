/**
 * Print diagnostics: as text for people, with the line of YAML and a caret, or as JSON for tools.
 *
 *   routes.yaml:12:21: error TC1503: `reviews...` has no subset `v3` (spec.http[0]... of VirtualService default/reviews)
 *      12 |             subset: v3
 *         |                     ^
 *         = Did you mean `v2`?
 */

import { printable } from '../base/printable.ts';
import type { Diagnostic } from '../model/diagnostic.ts';
import type { ConfigSource } from './load.ts';

/** Widest piece of a YAML line that is shown. */
const SHOWN_COLUMNS = 96;

/** One line without source text: for logs. */
export function diagnosticLine(diagnostic: Diagnostic): string {
  const { severity, code, path, message, resource } = diagnostic;
  const name =
    resource.kind === '' ? '' : ` of ${resource.kind} ${resource.namespace}/${resource.name}`;
  const where = path === '' && name === '' ? '' : ` (${path === '' ? 'document' : path}${name})`;
  return printable(`${placePrefix(diagnostic)}${severity} ${code}: ${message}${where}`);
}

/** Every diagnostic with its line, a caret and its mend; the lines come from `sources`. */
export function printDiagnosticsText(
  diagnostics: readonly Diagnostic[],
  sources: readonly ConfigSource[],
): string {
  const linesOf = new Map<string, readonly string[]>();
  for (const { file, text } of sources) linesOf.set(file, text.split(/\r?\n/));
  return diagnostics
    .map((diagnostic) => {
      const lines = linesOf.get(diagnostic.file) ?? [];
      const line = lines[diagnostic.line - 1];
      const isShown = line !== undefined && !isOfSecret(lines, diagnostic.line - 1);
      const shown = isShown ? excerpt(diagnostic, line) : '';
      return `${diagnosticLine(diagnostic)}\n${shown}${gutter('')} = ${printable(diagnostic.fix)}\n`;
    })
    .join('');
}

/** `2 errors, 1 warning in 3 files`. */
export function summaryLine(diagnostics: readonly Diagnostic[], fileCount: number): string {
  const { errors, warnings } = countDiagnostics(diagnostics);
  return `${plural(errors, 'error')}, ${plural(warnings, 'warning')} in ${plural(fileCount, 'file')}`;
}

/** One JSON object: `{errors, warnings, files, diagnostics}`. */
export function printDiagnosticsJson(
  diagnostics: readonly Diagnostic[],
  fileCount: number,
): string {
  const counts = countDiagnostics(diagnostics);
  return `${JSON.stringify({ ...counts, files: fileCount, diagnostics }, undefined, 2)}\n`;
}

export function countDiagnostics(diagnostics: readonly Diagnostic[]): {
  readonly errors: number;
  readonly warnings: number;
} {
  const errors = diagnostics.filter((each) => each.severity === 'error').length;
  return { errors, warnings: diagnostics.length - errors };
}

function placePrefix({ file, line, column }: Diagnostic): string {
  if (file === '') return '';
  return line === 0 ? `${file}: ` : `${file}:${line}:${column}: `;
}

/** Whether a Secret is in the document of line `at`: its lines may hold keys, and logs of CI keep them. */
function isOfSecret(lines: readonly string[], at: number): boolean {
  const isEnd = (line: string) => /^---(?:\s|$)/.test(line);
  let first = at;
  while (first > 0 && !isEnd(lines[first]!)) first -= 1;
  let last = at + 1;
  while (last < lines.length && !isEnd(lines[last]!)) last += 1;
  return lines.slice(first, last).some((line) => /\bkind["']?\s*:\s*["']?Secret\b/.test(line));
}

function excerpt({ line, column }: Diagnostic, text: string): string {
  // A long line is shown from a little before the column on.
  const start = column > SHOWN_COLUMNS ? column - SHOWN_COLUMNS / 2 : 0;
  const before = printableLine(text.slice(start, Math.max(start, column - 1)));
  const shown =
    before + printableLine(text.slice(Math.max(start, column - 1), start + SHOWN_COLUMNS));
  return `${gutter(String(line))} | ${shown}\n${gutter('')} | ${' '.repeat(before.length)}^\n`;
}

/** A tab of the file takes the room of one column. */
function printableLine(text: string): string {
  return printable(text.replaceAll('\t', ' '));
}

function gutter(text: string): string {
  return text.padStart(6);
}

function plural(count: number, noun: string): string {
  return `${count} ${noun}${count === 1 ? '' : 's'}`;
}
