/**
 * Diagnostics: complaints about configuration, all of them at once, each with its place and its mend.
 */

export type Severity = 'error' | 'warning';

export interface ResourceName {
  /** `VirtualService`; empty when the document could not be read that far. */
  readonly kind: string;
  readonly namespace: string;
  readonly name: string;
}

export interface Diagnostic {
  readonly severity: Severity;
  /** `TC` and four digits, stable: documentation and tools refer to it. */
  readonly code: string;
  readonly resource: ResourceName;
  /** Where in the document: `spec.http[0].route[1].weight`. */
  readonly path: string;
  readonly file: string;
  /** From 1; 0 when unknown. */
  readonly line: number;
  readonly column: number;
  /** What is wrong, one sentence. */
  readonly message: string;
  /** What to write instead, one sentence or a YAML line. */
  readonly fix: string;
}
