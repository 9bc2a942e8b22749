/**
 * Reads the value of `x-forwarded-client-cert`, Envoy's format: elements, one for each proxy on the way.
 *
 *   By=spiffe://a/b;Hash=0123...;Subject="CN=shop, O=Acme";URI=spiffe://c/d,By=spiffe://c/d;Hash=...
 *   └─ pair ─────┘  key=value    └─ quoted, \" and \\ ──┘                 └─ the next element
 *
 * Stricter than Envoy, which goes on with whatever came: a key that it does not document, one twice that
 * can only be said once, a quote that does not end, or a character that could be taken for the end of a
 * value make it no value at all. (Envoy, HTTP header manipulation, x-forwarded-client-cert.)
 */

/** Keys that an element may have any number of times, and those that it has at most once. */
const manyKeys: ReadonlySet<string> = new Set(['by', 'uri', 'dns']);
const singleKeys: ReadonlySet<string> = new Set(['hash', 'cert', 'chain', 'subject']);

const QUOTE = 0x22;
const BACKSLASH = 0x5c;

/** How many elements `text` has; 0: it is malformed, or empty. Linear in its length. */
export function countClientCerts(text: string): number {
  let elements = 0;
  let at = 0;
  while (at < text.length) {
    at = skipElement(text, at);
    if (at < 0) return 0;
    elements++;
    if (at === text.length) return elements;
    // Several fields are one with commas between (RFC 9110 section 5.3), and white space around them.
    at = skipSpaces(text, skipSpaces(text, at), ',');
    if (at < 0) return 0;
  }
  return 0;
}

/** Index behind the element that begins at `start`; -1: it is none. */
function skipElement(text: string, start: number): number {
  const seen = new Set<string>();
  let at = start;
  while (true) {
    const equals = text.indexOf('=', at);
    // No key is longer: nothing is looked for through the whole text again and again.
    if (equals < 0 || equals - at > 'subject'.length) return -1;
    const key = text.slice(at, equals).toLowerCase();
    if (singleKeys.has(key)) {
      if (seen.has(key)) return -1;
      seen.add(key);
    } else if (!manyKeys.has(key)) return -1;
    at = skipValue(text, equals + 1);
    if (at < 0 || text[at] !== ';') return at;
    at++;
  }
}

function skipValue(text: string, start: number): number {
  let at = start;
  if (text.charCodeAt(at) !== QUOTE) {
    while (at < text.length && isPlain(text.charCodeAt(at))) at++;
    return at;
  }
  for (at++; at < text.length; at++) {
    const code = text.charCodeAt(at);
    if (code === QUOTE) return at + 1;
    if (code === BACKSLASH) at++;
    if (!isPrinted(text.charCodeAt(at))) return -1;
  }
  return -1;
}

/** Behind white space; with `wanted` behind that character and white space, -1 where it is not there. */
function skipSpaces(text: string, start: number, wanted = ''): number {
  let at = start;
  if (wanted !== '') {
    if (text[at] !== wanted) return -1;
    at++;
  }
  while (text[at] === ' ' || text[at] === '\t') at++;
  return at;
}

function isPrinted(code: number): boolean {
  return code >= 0x20 && code <= 0x7e;
}

/** May stand in a value without quotes. */
function isPlain(code: number): boolean {
  switch (code) {
    case QUOTE:
    case BACKSLASH:
    case 0x2c: // ,
    case 0x3b: // ;
    case 0x3d: // =
      return false;
    default:
      return code > 0x20 && code <= 0x7e;
  }
}
