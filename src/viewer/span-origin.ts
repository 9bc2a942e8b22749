/**
 * Where spans come from: their resource and instrumentation scope, kept once for all spans of it.
 *
 * A process sends the same resource with every request and its spans are spread over many traces,
 * so origins are counted by reference and shared; `bytes` is what all of them hold.
 */

import { assert } from '../base/assert.ts';
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
  readonly service: string;
  /** What comes before and after the spans of this origin in `resourceSpans`. */
  readonly head: Buffer;
  readonly tail: Buffer;
  readonly key: string;
  /** Traces that hold spans of it. */
  references = 0;

  constructor(parts: OriginParts, key: string) {
    this.service = parts.service;
    this.key = key;
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

  get bytes(): number {
    return this.head.length + this.tail.length + 2 * this.key.length + objectBytes;
  }
}

/** Objects, map entry and buffers of one origin. */
const objectBytes = 600;

function urlField(url: string): string {
  return url === '' ? '' : `,"schemaUrl":${JSON.stringify(url)}`;
}

export class OriginTable {
  bytes = 0;
  readonly #origins = new Map<string, SpanOrigin>();

  get size(): number {
    return this.#origins.size;
  }

  /** The one origin with these parts, made if need be; a new one has no reference yet. */
  take(parts: OriginParts): SpanOrigin {
    const { resourceJson, resourceSchemaUrl, scopeJson, scopeSchemaUrl } = parts;
    const key = `${resourceJson}${scopeJson}${resourceSchemaUrl} ${scopeSchemaUrl}`;
    let origin = this.#origins.get(key);
    if (origin === undefined) {
      origin = new SpanOrigin(parts, key);
      this.#origins.set(key, origin);
      this.bytes += origin.bytes;
    }
    origin.references++;
    return origin;
  }

  /** Gives back one reference; the last one frees the origin. */
  release(origin: SpanOrigin): void {
    assert(origin.references > 0, 'an origin is released once for each time it was taken');
    if (--origin.references > 0) return;
    this.#origins.delete(origin.key);
    this.bytes -= origin.bytes;
  }

  /** One more holder of an origin that is in the table. */
  share(origin: SpanOrigin): void {
    origin.references++;
  }
}
