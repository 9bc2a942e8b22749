/**
 * Request methods as small integers. The list is closed: any other token is answered 501, unless a
 * lenient reader has read it; then its method is 0, and its name is in the head's text.
 *
 * Names are case-sensitive (RFC 9110 section 9.1). CONNECT and TRACE are known so that they can be
 * refused with 405; they are never forwarded.
 */

export const Method = {
  Get: 1,
  Head: 2,
  Post: 3,
  Put: 4,
  Delete: 5,
  Connect: 6,
  Options: 7,
  Trace: 8,
  Patch: 9,
  Query: 10,
} as const;

const names = [
  '',
  'GET',
  'HEAD',
  'POST',
  'PUT',
  'DELETE',
  'CONNECT',
  'OPTIONS',
  'TRACE',
  'PATCH',
  'QUERY',
] as const;

/** The longest known name; a longer token can be refused before it ends. */
export const METHOD_BYTES_MAX = 7;
/** Of a method that goes on as it was sent: the longest of IANA's has 17. */
export const METHOD_AS_SENT_BYTES_MAX = 32;

/** The name of a known method, '' for 0. */
export function methodName(id: number): string {
  return names[id] ?? '';
}

/** Whether sending the request twice has the effect of once (RFC 9110 section 9.2.2, RFC 10008). */
export function isIdempotent(id: number): boolean {
  return id !== 0 && id !== Method.Post && id !== Method.Patch && id !== Method.Connect;
}

/** The id of the method in `buffer[start..end)`, 0 when it is none of ours. */
export function methodIdOf(buffer: Uint8Array, start: number, end: number): number {
  const length = end - start;
  if (length === 3 && buffer[start] === 0x47) return matches(buffer, start, Method.Get);
  for (let id = Method.Get as number; id < names.length; id++) {
    if (names[id]!.length === length && matches(buffer, start, id) !== 0) return id;
  }
  return 0;
}

function matches(buffer: Uint8Array, start: number, id: number): number {
  const name = names[id]!;
  for (let at = 0; at < name.length; at++) {
    if (buffer[start + at] !== name.charCodeAt(at)) return 0;
  }
  return id;
}
