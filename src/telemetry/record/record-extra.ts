/**
 * What hardly any record says beside its fields: the lines of `record.extra`, told apart by their first
 * letter. A line that is none of these, or is not whole, says nothing.
 *
 *   t<hex>                        the threshold of the trace, as it came in tracestate
 *   l<trace id>-<span id>         a span that this one links to
 *   m<method>                     the method, where it is not one that records have a number for
 *   a<address>                    at a Gateway: the client, as far as that can be believed
 *   s<name>                       there: whom the certificate names that the client has shown
 *   d<text>                       what the failure was about
 *   e<SPIFFE id>, p<SPIFFE id>    who was expected at the other end, and who proved to be there instead
 *   c<index>:<value>              custom tag, by its place among the tags of the direction
 *   h<index>:<value>              captured header, by its place: those of the request, then the response's
 */

import { telemetryLimits } from '../../model/telemetry-limits.ts';
import { EXTRA_BYTES_MAX } from './record-layout.ts';

export interface RecordExtra {
  /** 1 to 14 hex digits; empty: none came. */
  readonly threshold: string;
  readonly links: readonly SpanLink[];
  /** As it was sent; empty: the record has it as a number, or nobody knows it. */
  readonly method: string;
  /** At a Gateway: the address of the client; empty elsewhere. */
  readonly client: string;
  /** There: whom the client's verified certificate names; empty: it has shown none. */
  readonly subject: string;
  /** What the failure was about, for a person; empty: there is none, or nothing to say of it. */
  readonly detail: string;
  /** SPIFFE ids of who was expected and of who was there instead; empty: it was no matter of that. */
  readonly expected: string;
  readonly proved: string;
  /** By index; the values in their order. */
  readonly tags: ReadonlyMap<number, readonly string[]>;
  readonly headers: ReadonlyMap<number, readonly string[]>;
}

/** Another span, by its ids in hex. */
export interface SpanLink {
  readonly traceId: string;
  readonly spanId: string;
}

const none: RecordExtra = {
  threshold: '',
  links: [],
  method: '',
  client: '',
  subject: '',
  detail: '',
  expected: '',
  proved: '',
  tags: new Map(),
  headers: new Map(),
};

/** The line of a method; `method`: the letters of a token. */
export function methodLine(method: string): string {
  return `m${method}`;
}

/** The line of a client's address. */
export function clientLine(address: string): string {
  return `a${address}`;
}

/** The line of whom a client's certificate names. */
export function subjectLine(subject: string): string {
  return `s${plainLine(subject)}`;
}

/** Anything that would end the line, or that a record has no byte for. */
const ODD = /[^\x20-\x7e\xa0-\xff]/u;
const everyOdd = new RegExp(ODD.source, 'gu');

/**
 * `extra` with what the failure was about in front: what else there is goes, the last lines first, where
 * a record has no room for all. `detail`: any text, cut at `failureDetailCharsMax`; '' adds nothing.
 */
export function addDetail(extra: string, detail: string): string {
  if (detail === '') return extra;
  const line = `d${plainLine(detail).slice(0, telemetryLimits.failureDetailCharsMax)}`;
  return inFront(line, extra);
}

/**
 * `extra` with the two SPIFFE ids in front: who was expected, and who proved to be there instead. Without
 * them where a record has no room for both: half an id would be another one.
 */
export function addIdentities(extra: string, expected: string, proved: string): string {
  const lines = `e${plainLine(expected)}\np${plainLine(proved)}`;
  return lines.length >= EXTRA_BYTES_MAX ? extra : inFront(lines, extra);
}

/** Of `extra` as many of the first lines as there is room for behind `lines`. */
function inFront(lines: string, extra: string): string {
  let rest = extra;
  while (lines.length + rest.length >= EXTRA_BYTES_MAX && rest !== '') {
    rest = rest.slice(0, Math.max(0, rest.lastIndexOf('\n')));
  }
  return rest === '' ? lines : `${lines}\n${rest}`;
}

function plainLine(text: string): string {
  if (!ODD.test(text)) return text;
  return text.replace(everyOdd, (each) => `\\u{${each.codePointAt(0)!.toString(16)}}`);
}

/** Reads the lines of a record. */
export function readExtra(text: string): RecordExtra {
  if (text === '') return none;
  const links: SpanLink[] = [];
  const tags = new Map<number, string[]>();
  const headers = new Map<number, string[]>();
  let threshold = '';
  let method = '';
  let client = '';
  let subject = '';
  let detail = '';
  let expected = '';
  let proved = '';
  for (const line of text.split('\n')) {
    const rest = line.slice(1);
    if (line[0] === 't' && /^[0-9a-f]{1,14}$/.test(rest)) threshold = rest;
    else if (line[0] === 'l') readLink(rest, links);
    else if (line[0] === 'm') method = rest;
    else if (line[0] === 'a') client = rest;
    else if (line[0] === 's') subject = rest;
    else if (line[0] === 'd') detail = rest;
    else if (line[0] === 'e') expected = rest;
    else if (line[0] === 'p') proved = rest;
    else if (line[0] === 'c') readIndexed(rest, tags);
    else if (line[0] === 'h') readIndexed(rest, headers);
  }
  return { threshold, links, method, client, subject, detail, expected, proved, tags, headers };
}

function readLink(rest: string, to: SpanLink[]): void {
  const [, traceId, spanId] = /^([0-9a-f]{32})-([0-9a-f]{16})$/.exec(rest) ?? [];
  if (traceId !== undefined && spanId !== undefined) to.push({ traceId, spanId });
}

function readIndexed(rest: string, to: Map<number, string[]>): void {
  const colon = rest.indexOf(':');
  if (colon < 1 || !/^[0-9]{1,3}$/.test(rest.slice(0, colon))) return;
  const index = Number(rest.slice(0, colon));
  const values = to.get(index) ?? [];
  values.push(rest.slice(colon + 1));
  to.set(index, values);
}
