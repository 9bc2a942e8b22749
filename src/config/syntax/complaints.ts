/**
 * Complaints: where diagnostics are gathered while configuration is read and compiled.
 *
 * A Place remembers a position as an offset into its file; line and column are looked up only when
 * something is wrong there. Reading never stops at a complaint, so all of them come at once.
 */

import type { Diagnostic, ResourceName } from '../../model/diagnostic.ts';
import { configLimits } from '../../model/limits.ts';
import { type ComplaintKind, diagnosticCodes } from './diagnostic-codes.ts';

/** A file that positions refer to: plain data, so that resources may cross threads. */
export interface SourceFile {
  readonly file: string;
  /** Offset of each line's first character, ascending. The YAML parser fills it while it reads. */
  readonly lineStarts: readonly number[];
}

/** A value's place: in which file and resource, its path there, and its offset in the text. */
export interface Place {
  readonly source: SourceFile;
  readonly resource: ResourceName;
  /** `spec.http[0].route[1].weight`; empty for the document itself. */
  readonly path: string;
  /** -1 when there is no text to point at. */
  readonly offset: number;
}

/** What was written as text, with its place: for lists whose items are looked up later. */
export interface Placed<T> {
  readonly value: T;
  readonly at: Place;
}

export const noResource: ResourceName = Object.freeze({ kind: '', namespace: '', name: '' });

/** A place for complaints about a file as a whole. */
export function filePlace(file: string): Place {
  const source = { file, lineStarts: [] };
  return { source, resource: noResource, path: '', offset: -1 };
}

export class Complaints {
  readonly #found: Diagnostic[] = [];
  readonly #seen = new Set<string>();
  #left = 0;
  #errors = 0;

  /** Adds one complaint; the same one at the same place counts once. */
  add(kind: ComplaintKind, place: Place, message: string, fix: string): void {
    const { line, column } = lineAndColumn(place);
    const code = diagnosticCodes.get(kind)!;
    const { resource, path } = place;
    const { file } = place.source;
    this.#keep({
      severity: code.severity,
      code: code.code,
      resource,
      path,
      file,
      line,
      column,
      message,
      fix,
    });
  }

  /** Takes over what others found. */
  addAll(diagnostics: readonly Diagnostic[]): void {
    for (const diagnostic of diagnostics) this.#keep(diagnostic);
  }

  /** Errors so far, the ones that are not shown too. */
  get errorCount(): number {
    return this.#errors;
  }

  /** All of them, by file, line and column; beyond the limit one line says how many more. */
  list(): readonly Diagnostic[] {
    const sorted = this.#found.toSorted(compareDiagnostics);
    if (this.#left > 0) {
      const { code, severity } = diagnosticCodes.get('too-many-diagnostics')!;
      sorted.push({
        severity,
        code,
        resource: noResource,
        path: '',
        file: '',
        line: 0,
        column: 0,
        message: `${this.#left} more complaints are not shown`,
        fix: 'Mend the ones above first.',
      });
    }
    return sorted;
  }

  #keep(diagnostic: Diagnostic): void {
    const { file, line, column, code, path, message } = diagnostic;
    const key = `${file}\n${line}:${column} ${code} ${path} ${message}`;
    if (this.#seen.has(key)) return;
    if (diagnostic.severity === 'error') this.#errors += 1;
    if (this.#found.length >= configLimits.diagnosticsMax) {
      this.#left += 1;
      return;
    }
    this.#seen.add(key);
    this.#found.push(Object.freeze(diagnostic));
  }
}

/** `file:line:column`, for people and spans. */
export function placeText(place: Place): string {
  const { line, column } = lineAndColumn(place);
  return line === 0 ? place.source.file : `${place.source.file}:${line}:${column}`;
}

function lineAndColumn(place: Place): { line: number; column: number } {
  if (place.offset < 0) return { line: 0, column: 0 };
  const { lineStarts } = place.source;
  let [line, end] = [0, lineStarts.length];
  while (line < end) {
    const middle = (line + end) >> 1;
    if (lineStarts[middle]! <= place.offset) line = middle + 1;
    else end = middle;
  }
  return { line, column: place.offset - (lineStarts[line - 1] ?? 0) + 1 };
}

function compareDiagnostics(first: Diagnostic, second: Diagnostic): number {
  if (first.file !== second.file) return first.file < second.file ? -1 : 1;
  return (
    first.line - second.line ||
    first.column - second.column ||
    (first.code < second.code ? -1 : first.code > second.code ? 1 : 0)
  );
}
