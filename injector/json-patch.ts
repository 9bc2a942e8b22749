/**
 * JSON Patch (RFC 6902): the operations that turn one JSON value into another.
 *
 * Minimal where it matters: what is equal is not named, list elements are told apart by their `name`,
 * so a container put first is one `add`. Parents exist before their children by construction. No
 * `move`, `copy` or `test`. Applying the operations in order to `before` gives exactly `after`.
 */

import { isObject } from './pod.ts';

export type JsonPatchOperation =
  | { readonly op: 'add' | 'replace'; readonly path: string; readonly value: unknown }
  | { readonly op: 'remove'; readonly path: string };

/** Longer stretches of two lists than this product are replaced as a whole: it bounds the work. */
const ALIGNED_CELLS_MAX = 250_000;

/** The operations from `before` to `after`, both plain JSON without undefined; empty when equal. */
export function diff(before: unknown, after: unknown): JsonPatchOperation[] {
  const operations: JsonPatchOperation[] = [];
  diffValue(before, after, '', operations);
  return operations;
}

/** JSON of objects that are printed more than once: into the patch, and into what is hashed. */
const printed = new WeakMap<object, string>();

/** JSON of an object that nobody changes any more; the second time it costs nothing. */
export function jsonOf(value: object): string {
  const known = printed.get(value);
  if (known !== undefined) return known;
  const text = JSON.stringify(value);
  printed.set(value, text);
  return text;
}

/** The operations as JSON; values, or elements of them, that `jsonOf` has printed are not again. */
export function printOperations(operations: readonly JsonPatchOperation[]): string {
  return `[${operations.map(printOperation).join(',')}]`;
}

function printOperation(operation: JsonPatchOperation): string {
  const { op, path } = operation;
  const head = `{"op":"${op}","path":${JSON.stringify(path)}`;
  if (operation.op === 'remove') return `${head}}`;
  const { value } = operation;
  const text = Array.isArray(value) ? `[${value.map(printValue).join(',')}]` : printValue(value);
  return `${head},"value":${text}}`;
}

function printValue(value: unknown): string {
  const known = typeof value === 'object' && value !== null ? printed.get(value) : undefined;
  return known ?? JSON.stringify(value);
}

function diffValue(
  before: unknown,
  after: unknown,
  path: string,
  operations: JsonPatchOperation[],
): void {
  if (before === after) return;
  if (Array.isArray(before) && Array.isArray(after)) diffList(before, after, path, operations);
  else if (isObject(before) && isObject(after)) diffObject(before, after, path, operations);
  else operations.push({ op: 'replace', path, value: after });
}

function diffObject(
  before: Record<string, unknown>,
  after: Record<string, unknown>,
  path: string,
  operations: JsonPatchOperation[],
): void {
  for (const key of Object.keys(before)) {
    if (!Object.hasOwn(after, key)) operations.push({ op: 'remove', path: below(path, key) });
  }
  for (const key of Object.keys(after)) {
    if (Object.hasOwn(before, key)) {
      diffValue(before[key], after[key], below(path, key), operations);
    } else operations.push({ op: 'add', path: below(path, key), value: after[key] });
  }
}

/** RFC 6901 section 3: `~` is `~0` and `/` is `~1`. */
function below(path: string, key: string | number): string {
  return `${path}/${String(key).replaceAll('~', '~0').replaceAll('/', '~1')}`;
}

function diffList(
  before: readonly unknown[],
  after: readonly unknown[],
  path: string,
  operations: JsonPatchOperation[],
): void {
  let index = 0;
  for (const [from, to] of alignLists(before, after)) {
    if (to === undefined) {
      operations.push({ op: 'remove', path: below(path, index) });
      continue;
    }
    if (from === undefined) {
      operations.push({ op: 'add', path: below(path, index), value: after[to] });
    } else diffValue(before[from], after[to], below(path, index), operations);
    index += 1;
  }
}

/** `[index before, index after]`: both for a kept element, one of them for a removed or added one. */
type Pair = readonly [number | undefined, number | undefined];

/** The elements side by side, in order. Common ends are free; the middle costs its product. */
function alignLists(before: readonly unknown[], after: readonly unknown[]): Pair[] {
  const shorter = Math.min(before.length, after.length);
  let head = 0;
  while (head < shorter && isSameElement(before[head], after[head])) head += 1;
  let tail = 0;
  while (
    tail < shorter - head &&
    isSameElement(before[before.length - 1 - tail], after[after.length - 1 - tail])
  ) {
    tail += 1;
  }
  const pairs: Pair[] = [];
  for (let at = 0; at < head; at++) pairs.push([at, at]);
  alignMiddle(before, after, head, tail, pairs);
  for (let at = tail; at > 0; at--) pairs.push([before.length - at, after.length - at]);
  return pairs;
}

function alignMiddle(
  before: readonly unknown[],
  after: readonly unknown[],
  head: number,
  tail: number,
  pairs: Pair[],
): void {
  const rows = before.length - tail - head;
  const columns = after.length - tail - head;
  const isTooLarge = rows * columns > ALIGNED_CELLS_MAX;
  const lengths = isTooLarge ? undefined : commonLengths(before, after, head, rows, columns);
  let row = 0;
  let column = 0;
  while (row < rows || column < columns) {
    const here = lengths?.[row * (columns + 1) + column] ?? 0;
    const isKept =
      here > 0 &&
      row < rows &&
      column < columns &&
      isSameElement(before[head + row], after[head + column]) &&
      lengths![(row + 1) * (columns + 1) + column + 1] === here - 1;
    if (isKept) {
      pairs.push([head + row, head + column]);
      row += 1;
      column += 1;
    } else if (row < rows && (lengths?.[(row + 1) * (columns + 1) + column] ?? 0) === here) {
      pairs.push([head + row, undefined]);
      row += 1;
    } else {
      pairs.push([undefined, head + column]);
      column += 1;
    }
  }
}

/** Longest common subsequence of what follows each pair of places, row by row. */
function commonLengths(
  before: readonly unknown[],
  after: readonly unknown[],
  head: number,
  rows: number,
  columns: number,
): Uint32Array {
  const width = columns + 1;
  const lengths = new Uint32Array((rows + 1) * width);
  for (let row = rows - 1; row >= 0; row--) {
    for (let column = columns - 1; column >= 0; column--) {
      lengths[row * width + column] = isSameElement(before[head + row], after[head + column])
        ? lengths[(row + 1) * width + column + 1]! + 1
        : Math.max(lengths[(row + 1) * width + column]!, lengths[row * width + column + 1]!);
    }
  }
  return lengths;
}

/** Elements with a name are the same when the name is, and may differ inside; others when equal. */
function isSameElement(before: unknown, after: unknown): boolean {
  if (isObject(before) && isObject(after)) {
    const name = before.name;
    if (typeof name === 'string') return name === after.name;
  }
  return isEqual(before, after);
}

/** Whether two JSON values are equal; the order of keys does not count. */
export function isEqual(left: unknown, right: unknown): boolean {
  if (left === right) return true;
  if (Array.isArray(left)) {
    return (
      Array.isArray(right) &&
      left.length === right.length &&
      left.every((each, index) => isEqual(each, right[index]))
    );
  }
  if (!isObject(left) || !isObject(right)) return false;
  const keys = Object.keys(left);
  return (
    keys.length === Object.keys(right).length &&
    keys.every((key) => Object.hasOwn(right, key) && isEqual(left[key], right[key]))
  );
}
