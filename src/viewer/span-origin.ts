/**
 * Where spans come from: their resource and instrumentation scope, kept once for all spans of it.
 *
 * A process sends the same resource with every request and its spans are spread over many traces,
 * so origins are counted by reference and shared; `bytes` is what all of them hold.
 */

import { assert } from '../base/assert.ts';
import { TokenList } from './attribute-tokens.ts';
import type { KeyValue, OtlpResourceSpans, OtlpScope } from './otlp-json.ts';

/** The JSON of an origin's parts, as the query API writes them. */
export interface OriginParts {
  /** `service.name` of the resource; empty when it has none. */
  readonly service: string;
  readonly resourceJson: string;
  readonly resourceSchemaUrl: string;
  readonly scopeJson: string;
  readonly scopeSchemaUrl: string;
}

export class SpanOrigin {
  /** Its number, for rows of the index; another origin may have it when this one is gone. */
  readonly id: number;
  readonly service: string;
  /** What comes before and after the spans of this origin in `resourceSpans`. */
  readonly head: Buffer;
  readonly tail: Buffer;
  readonly key: string;
  readonly source: OriginParts;
  /** Spans of it in the store. */
  references = 0;
  #tokens: readonly number[] | undefined;

  constructor(parts: OriginParts, key: string, id: number) {
    this.id = id;
    this.service = parts.service;
    this.key = key;
    this.source = parts;
    this.head = Buffer.from(
      `{"resource":${parts.resourceJson},"scopeSpans":[{"scope":${parts.scopeJson},"spans":[`,
    );
    this.tail = Buffer.from(
      `]${urlField(parts.scopeSchemaUrl)}}]${urlField(parts.resourceSchemaUrl)}}`,
    );
  }

  /** Its resource's attributes and its scope, parsed: for searches by attribute only. */
  parts(): { readonly resource: readonly KeyValue[] | undefined; readonly scope: OtlpScope } {
    const entry = JSON.parse(`${this.head}${this.tail}`) as OtlpResourceSpans;
    return { resource: entry.resource?.attributes, scope: entry.scopeSpans?.[0]?.scope ?? {} };
  }

  /** Tokens of its resource's attributes and its scope's, made when first asked for. */
  tokens(): readonly number[] {
    if (this.#tokens === undefined) {
      const { resource, scope } = this.parts();
      const list = new TokenList(tokensMax);
      list.add(resource);
      list.add(scope.attributes);
      this.#tokens = list.tokens;
    }
    return this.#tokens;
  }

  get bytes(): number {
    return this.head.length + this.tail.length + 2 * this.key.length + objectBytes;
  }
}

/** Objects, map entry, buffers and tokens of one origin. */
const objectBytes = 1000;
/** More than a resource and a scope may have attributes. */
const tokensMax = 1024;

function urlField(url: string): string {
  return url === '' ? '' : `,"schemaUrl":${JSON.stringify(url)}`;
}

export class OriginTable {
  bytes = 0;
  readonly #origins = new Map<string, SpanOrigin>();
  readonly #byId: (SpanOrigin | undefined)[] = [];
  readonly #freeIds: number[] = [];

  get size(): number {
    return this.#origins.size;
  }

  /** All origins; undefined where a number is free. */
  all(): readonly (SpanOrigin | undefined)[] {
    return this.#byId;
  }

  byId(id: number): SpanOrigin {
    const origin = this.#byId[id];
    assert(origin !== undefined, 'a row names an origin that is here');
    return origin;
  }

  /** The one origin with these parts, made if need be, with one reference more. */
  take(parts: OriginParts): SpanOrigin {
    const { resourceJson, resourceSchemaUrl, scopeJson, scopeSchemaUrl } = parts;
    const key = `${resourceJson}${scopeJson}${resourceSchemaUrl} ${scopeSchemaUrl}`;
    let origin = this.#origins.get(key);
    if (origin === undefined) {
      const id = this.#freeIds.pop() ?? this.#byId.length;
      origin = new SpanOrigin(parts, key, id);
      this.#byId[id] = origin;
      this.#origins.set(key, origin);
      this.bytes += origin.bytes;
    }
    origin.references++;
    return origin;
  }

  /** Gives back one reference; true: it was the last one and the origin is gone. */
  release(origin: SpanOrigin): boolean {
    assert(origin.references > 0, 'an origin is released once for each time it was taken');
    if (--origin.references > 0) return false;
    this.#origins.delete(origin.key);
    this.#byId[origin.id] = undefined;
    this.#freeIds.push(origin.id);
    this.bytes -= origin.bytes;
    return true;
  }
}
