/**
 * A look over JSON text before it is parsed: what JSON.parse takes and an API server never sends.
 *
 * Nesting beyond a limit, the same key twice in one object (readers disagree on which counts),
 * `__proto__` as a key and half a surrogate pair. One pass over the text; whether it is JSON at all
 * is left to JSON.parse afterwards.
 */

const quote = 0x22;
const backslash = 0x5c;

/** The first thing that is wrong, as a sentence without a full stop; undefined when nothing is. */
export function jsonProblem(text: string, depthMax: number): string | undefined {
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
