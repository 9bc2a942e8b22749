/**
 * Whose mistake an error is: of what was typed, of the start, or (unmarked) a bug.
 *
 * It is a mark and not a class, because each program's bundle has classes of its own, of which no
 * error is an instance for the command that loaded it. A registered symbol is the same in all.
 */

export type ProblemKind = 'usage' | 'start';

/** The property of an error that holds its kind. */
export const problemKind = Symbol.for('tracecar.problem-kind');

/** The kind of anything that was thrown; undefined for what nobody expected. */
export function problemKindOf(error: unknown): ProblemKind | undefined {
  if (!(error instanceof Error)) return undefined;
  return (error as { readonly [problemKind]?: ProblemKind })[problemKind];
}
