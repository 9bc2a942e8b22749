/**
 * What hardly any record says beside its fields: the lines of `record.extra`, told apart by their first
 * letter. A line that is none of these, or is not whole, says nothing.
 *
 *   t<hex>                        the threshold of the trace, as it came in tracestate
 *   l<trace id>-<span id>         a span that this one links to
 *   m<method>                     the method, where it is not one that records have a number for
 *   a<address>                    at a Gateway: the client, as far as that can be believed
 *   c<index>:<value>              custom tag, by its place among the tags of the direction
 *   h<index>:<value>              captured header, by its place: those of the request, then the response's
 */

export interface RecordExtra {
  /** 1 to 14 hex digits; empty: none came. */
  readonly threshold: string;
  readonly links: readonly SpanLink[];
  /** As it was sent; empty: the record has it as a number, or nobody knows it. */
  readonly method: string;
  /** At a Gateway: the address of the client; empty elsewhere. */
  readonly client: string;
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

/** Reads the lines of a record. */
export function readExtra(text: string): RecordExtra {
  if (text === '') return none;
  const links: SpanLink[] = [];
  const tags = new Map<number, string[]>();
  const headers = new Map<number, string[]>();
  let threshold = '';
  let method = '';
  let client = '';
  for (const line of text.split('\n')) {
    const rest = line.slice(1);
    if (line[0] === 't' && /^[0-9a-f]{1,14}$/.test(rest)) threshold = rest;
    else if (line[0] === 'l') readLink(rest, links);
    else if (line[0] === 'm') method = rest;
    else if (line[0] === 'a') client = rest;
    else if (line[0] === 'c') readIndexed(rest, tags);
    else if (line[0] === 'h') readIndexed(rest, headers);
  }
  return { threshold, links, method, client, tags, headers };
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
