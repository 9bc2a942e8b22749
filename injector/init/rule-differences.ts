/**
 * How rules that are loaded differ from those that should be: pure, two lists in, lines out.
 *
 * A line names one thing in the words of the program that lists it. No line: the same rules in the same
 * order, and the same members whatever way they are cut into ranges.
 */

import type { Prefix } from './prefix-list.ts';

/** Rules of one chain: which are missing, which are somebody else's, and what stands where. */
export function ruleDifferences(
  chain: string,
  expected: readonly string[],
  found: readonly string[],
): string[] {
  const left = [...found];
  const missing = expected.filter((rule) => {
    const at = left.indexOf(rule);
    if (at !== -1) left.splice(at, 1);
    return at === -1;
  });
  const lines = missing.map((rule) => `the chain ${chain} lacks its rule: ${rule}`);
  for (const rule of left) lines.push(`the chain ${chain} has a rule too many: ${rule}`);
  if (lines.length > 0) return lines;
  const at = expected.findIndex((rule, index) => rule !== found[index]);
  if (at === -1) return [];
  return [
    `the chain ${chain} has its rules in another order: where '${expected[at]}' belongs stands '${found[at]}'`,
  ];
}

/** A range of ports or addresses as numbers, both ends included. */
export interface Span {
  readonly first: bigint;
  readonly last: bigint;
  /** As it was written. */
  readonly text: string;
}

/** Members of one set; ranges that touch are one. */
export function memberDifferences(
  set: string,
  expected: readonly Span[],
  found: readonly Span[],
): string[] {
  const isIn = (spans: readonly Span[]) => {
    const merged = merge(spans);
    return ({ first, last }: Span) =>
      merged.some((each) => each.first <= first && each.last >= last);
  };
  const [isFound, isExpected] = [isIn(found), isIn(expected)];
  return [
    ...expected.filter((span) => !isFound(span)).map(({ text }) => `the set ${set} lacks ${text}`),
    ...found
      .filter((span) => !isExpected(span))
      .map(({ text }) => `the set ${set} holds ${text}, which no option names`),
  ];
}

/** Sorted, disjoint, and none begins where another ends. */
function merge(spans: readonly Span[]): { first: bigint; last: bigint }[] {
  const sorted = [...spans].sort((one, other) =>
    one.first < other.first ? -1 : one.first > other.first ? 1 : 0,
  );
  const merged: { first: bigint; last: bigint }[] = [];
  for (const { first, last } of sorted) {
    const before = merged.at(-1);
    if (before === undefined || first > before.last + 1n) merged.push({ first, last });
    else if (last > before.last) before.last = last;
  }
  return merged;
}

/** The addresses of a prefix. */
export function spanOfPrefix({ bytes, length }: Prefix, text: string): Span {
  const first = bytes.reduce((sum, byte) => (sum << 8n) | BigInt(byte), 0n);
  const size = 1n << BigInt(8 * bytes.length - length);
  return { first, last: first + size - 1n, text };
}
