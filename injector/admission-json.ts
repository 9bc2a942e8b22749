/**
 * A strict JSON.parse: without what it takes and an API server never sends.
 *
 * Nesting beyond a limit, the same key twice in one object (readers disagree on which counts),
 * `__proto__` as a key and half a surrogate pair. Every key in the text must be there in the value: one
 * that stood twice is missing. Counting both is a third of the cost of remembering keys, so they are
 * remembered only to name the one that is wrong.
 */

const quote = 0x22;
const backslash = 0x5c;
const colon = 0x3a;

export type StrictJson = { readonly value: unknown } | { readonly problem: string };

/** The value of a text. A problem is a sentence without a full stop. */
export function parseStrictJson(text: string, depthMax: number): StrictJson {
  const keys = countKeys(text, depthMax);
  if (keys === -1) return { problem: `it is nested deeper than ${depthMax}` };
  let value: unknown;
  try {
    value = JSON.parse(text);
  } catch (error) {
    const problem = jsonProblem(text, depthMax);
    if (problem !== undefined) return { problem };
    return { problem: `it is not JSON: ${error instanceof Error ? error.message : String(error)}` };
  }
  // UTF-8 has no half pairs; an escape may make one.
  if (countParsed(value) === keys && !/\\u[dD]/.test(text)) return { value };
  const problem = jsonProblem(text, depthMax);
  return problem === undefined ? { value } : { problem };
}

/** Keys in JSON text: texts before a colon. -1 when it is nested deeper than `depthMax`. */
function countKeys(text: string, depthMax: number): number {
  let keys = 0;
  let depth = 0;
  for (let at = 0; at < text.length; at += 1) {
    const code = text.charCodeAt(at);
    if (code === quote) {
      const end = endOfText(text, at);
      if (end === -1) return keys;
      at = end - 1;
    } else if (code === colon) keys += 1;
    else if (code === 0x7b || code === 0x5b) {
      depth += 1;
      if (depth > depthMax) return -1;
    } else if (code === 0x7d || code === 0x5d) depth -= 1;
  }
  return keys;
}

/** Keys of a parsed value and all that is in it; NaN, which equals nothing, with a `__proto__`. */
function countParsed(value: unknown): number {
  if (typeof value !== 'object' || value === null) return 0;
  let keys = 0;
  if (Array.isArray(value)) {
    for (const each of value) keys += countParsed(each);
    return keys;
  }
  for (const key in value) {
    if (key === '__proto__') return Number.NaN;
    const inner = (value as Record<string, unknown>)[key];
    keys += typeof inner === 'object' ? countParsed(inner) + 1 : 1;
  }
  return keys;
}

/** The first thing that is wrong beside JSON itself; undefined when nothing is. */
function jsonProblem(text: string, depthMax: number): string | undefined {
  // Per open bracket the keys seen so far; undefined for a list.
  const open: (Set<string> | undefined)[] = [];
  let at = 0;
  let escapeAt = -1;
  while (at < text.length) {
    const code = text.charCodeAt(at);
    if (code === quote) {
      const end = endOfText(text, at);
      if (end === -1) return 'a text has no end';
      if (escapeAt < at) escapeAt = indexOrEnd(text, '\\', at);
      const problem = textProblem(text, at, end, open.at(-1), escapeAt < end);
      if (problem !== undefined) return problem;
      at = end;
      continue;
    }
    if (code === 0x7b || code === 0x5b) {
      open.push(code === 0x7b ? new Set() : undefined);
      if (open.length > depthMax) return `it is nested deeper than ${depthMax}`;
    } else if (code === 0x7d || code === 0x5d) open.pop();
    at += 1;
  }
  return undefined;
}

/** Just past the closing quote of the text that opens at `start`; -1 when there is none. */
function endOfText(text: string, start: number): number {
  for (let at = start + 1; ; at += 1) {
    at = text.indexOf('"', at);
    if (at === -1) return -1;
    let slashes = 0;
    while (text.charCodeAt(at - 1 - slashes) === backslash) slashes += 1;
    if (slashes % 2 === 0) return at + 1;
  }
}

function textProblem(
  text: string,
  start: number,
  end: number,
  keys: Set<string> | undefined,
  hasEscape: boolean,
): string | undefined {
  const isKey = keys !== undefined && isBeforeColon(text, end);
  if (!hasEscape && !isKey) return undefined;
  const value = hasEscape ? unescaped(text.slice(start, end)) : text.slice(start + 1, end - 1);
  if (value === undefined) return undefined;
  if (!value.isWellFormed()) return 'it holds half a surrogate pair, which is no character';
  if (!isKey) return undefined;
  if (value === '__proto__') return 'it holds the key __proto__';
  if (keys.has(value)) return `the key ${JSON.stringify(value.slice(0, 80))} stands twice`;
  keys.add(value);
  return undefined;
}

/** Looked for once, not for each text: a text of many keys would cost its square. */
function indexOrEnd(text: string, what: string, from: number): number {
  const index = text.indexOf(what, from);
  return index === -1 ? text.length : index;
}

/** Undefined when the text is no JSON: JSON.parse will say where. */
function unescaped(json: string): string | undefined {
  try {
    return String(JSON.parse(json));
  } catch {
    return undefined;
  }
}

function isBeforeColon(text: string, end: number): boolean {
  let at = end;
  while (' \t\r\n'.includes(text[at] ?? 'x')) at += 1;
  return text.charCodeAt(at) === 0x3a;
}
