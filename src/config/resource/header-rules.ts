/**
 * Header rules: which header names and values configuration may match and change.
 *
 * Framing, routing and tracing own some headers; an edit of one of those could make two readers see
 * two different messages (request smuggling) or cut a trace, so it is refused (reliability.md C14).
 */

import type { HeaderEdits } from '../../model/routing-table.ts';
import { noHeaderEdits } from '../../model/routing-table.ts';
import type { Place } from '../syntax/complaints.ts';
import type { Cursor } from '../syntax/cursor.ts';
import {
  checkedText,
  complainOfType,
  type Entry,
  list,
  mapping,
  optional,
  placed,
  type Reader,
  record,
} from '../syntax/schema.ts';

const protectedHeaders: ReadonlyMap<string, string> = new Map([
  ['host', 'the authority is forwarded unchanged'],
  ['content-length', 'it frames the body'],
  ['transfer-encoding', 'it frames the body'],
  ['connection', 'it belongs to one connection'],
  ['keep-alive', 'it belongs to one connection'],
  ['proxy-connection', 'it belongs to one connection'],
  ['proxy-authenticate', 'it belongs to one connection'],
  ['proxy-authorization', 'it belongs to one connection'],
  ['te', 'it belongs to one connection'],
  ['trailer', 'it frames the trailers'],
  ['upgrade', 'it belongs to one connection'],
  ['http2-settings', 'it belongs to one connection'],
  ['expect', 'it decides when the body is sent'],
  ['traceparent', 'tracing writes it'],
  ['tracestate', 'tracing writes it'],
  ['x-tracecar-cause', 'the proxy answers with it'],
  ['x-tracecar-join', 'tracing writes it'],
]);

const NAME_LENGTH_MAX = 256;
const VALUE_LENGTH_MAX = 8_192;

/** A token of RFC 9110 5.6.2. */
function isHeaderName(name: string): boolean {
  return name.length <= NAME_LENGTH_MAX && /^[!#$%&'*+.^_`|~0-9A-Za-z-]+$/.test(name);
}

/** Complains of a header name that cannot exist; true when it can. */
export function checkHeaderName(name: string, at: Place, cursor: Cursor): boolean {
  if (isHeaderName(name)) return true;
  const fix = 'Write letters, digits and `-`, for example `x-user`.';
  const message = `${JSON.stringify(name)} is not a header name`;
  cursor.reading.complaints.add('bad-header-name', at, message, fix);
  return false;
}

function checkEditedName(name: string, at: Place, cursor: Cursor): boolean {
  if (!checkHeaderName(name, at, cursor)) return false;
  const reason = protectedHeaders.get(name.toLowerCase());
  if (reason === undefined) return true;
  const message = `Rules may not change \`${name}\`: ${reason}`;
  cursor.reading.complaints.add('header-protected', at, message, `Remove \`${name}\`.`);
  return false;
}

const headerValue: Reader<string> = checkedText((value, cursor) => {
  if (value.length > VALUE_LENGTH_MAX) {
    const fix = `Write at most ${VALUE_LENGTH_MAX} characters.`;
    return cursor.complain('bad-header-value', 'The header value is too long', fix);
  }
  if (/^[\t\x20-\x7e]*$/.test(value) && value.trim() === value) return value;
  const fix = 'Write one line of visible ASCII without spaces at its ends.';
  return cursor.complain('bad-header-value', 'The header value has forbidden characters', fix);
});

const edits = mapping(headerValue, checkEditedName);
const removals = list(
  placed<string>((cursor) => {
    const name = cursor.scalar();
    if (typeof name !== 'string') return complainOfType(cursor, 'text');
    return checkEditedName(name, cursor.at, cursor) ? name : undefined;
  }),
);

const editsOfOneWay = record({
  set: optional(edits),
  add: optional(edits),
  remove: optional(removals),
});

const headerEdits = record({ request: optional(editsOfOneWay), response: optional(editsOfOneWay) });

export interface BothWays {
  readonly request: HeaderEdits;
  readonly response: HeaderEdits;
}

export const noEdits: BothWays = { request: noHeaderEdits, response: noHeaderEdits };

/** `headers:` of a route or of one destination of it. */
export const headers: Reader<BothWays> = (cursor) => {
  const read = headerEdits(cursor);
  if (read === undefined) return undefined;
  return { request: toEdits(read.request), response: toEdits(read.response) };
};

function toEdits(read: ReturnType<typeof editsOfOneWay>): HeaderEdits {
  if (read === undefined) return noHeaderEdits;
  return {
    remove: (read.remove ?? []).map((name) => name.value),
    set: toPairs(read.set),
    add: toPairs(read.add),
  };
}

function toPairs(entries: readonly Entry<string>[] | undefined): [string, string][] {
  return (entries ?? []).map(({ key, value }) => [key, value]);
}
