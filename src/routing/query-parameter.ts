/**
 * Query parameter: the value of one parameter of a request's query, decoded.
 *
 * `+` is a space and `%XX` a byte of UTF-8, as browsers write forms (WHATWG URL 5.1). Text that does
 * not decode is taken as it is, so that no request makes matching throw. Nothing is built for a query
 * without `%` and `+` but the value itself.
 */

const PERCENT = 0x25;
const PLUS = 0x2b;

/**
 * The first value of parameter `name`, or undefined when the query does not have it. A parameter
 * without `=` has the empty value.
 *
 * @param query text after `?`, without it
 * @param name  decoded, as written in the configuration
 */
export function queryParameter(query: string, name: string): string | undefined {
  let start = 0;
  while (start <= query.length) {
    let end = query.indexOf('&', start);
    if (end === -1) end = query.length;
    let equals = query.indexOf('=', start);
    if (equals === -1 || equals > end) equals = end;
    if (isNamed(query, start, equals, name)) {
      return equals === end ? '' : decoded(query, equals + 1, end);
    }
    start = end + 1;
  }
  return undefined;
}

function isNamed(query: string, start: number, end: number, name: string): boolean {
  if (start === end) return false;
  if (isCoded(query, start, end)) return decoded(query, start, end) === name;
  return end - start === name.length && query.startsWith(name, start);
}

function isCoded(query: string, start: number, end: number): boolean {
  for (let index = start; index < end; index++) {
    const code = query.charCodeAt(index);
    if (code === PERCENT || code === PLUS) return true;
  }
  return false;
}

function decoded(query: string, start: number, end: number): string {
  const text = query.slice(start, end);
  if (!isCoded(query, start, end)) return text;
  const spaced = text.replaceAll('+', ' ');
  try {
    return decodeURIComponent(spaced);
  } catch {
    return text;
  }
}
