/**
 * Attributes as numbers: one hash for each pair of key and value that a search may ask for.
 *
 * Equal pairs have equal tokens; unequal ones may collide, so what the tokens find is looked over
 * again in its JSON. Lists, maps and bytes have none: no search asks for them.
 */

import { type KeyValue, type OtlpSpan, valueText } from './otlp-json.ts';

/** Of a longer value only the beginning and the length count. */
const hashedUnitsMax = 256;
const prime = 0x01000193;

/** The token of a pair (FNV-1a over UTF-16 units); about 1 ns a character. */
export function tokenOf(key: string, value: string): number {
  let hash = 0x811c9dc5;
  for (let at = 0; at < key.length; at++) hash = Math.imul(hash ^ key.charCodeAt(at), prime);
  hash = Math.imul(hash ^ 0, prime);
  const end = Math.min(value.length, hashedUnitsMax);
  for (let at = 0; at < end; at++) hash = Math.imul(hash ^ value.charCodeAt(at), prime);
  if (value.length > hashedUnitsMax) hash = Math.imul(hash ^ value.length, prime);
  return hash >>> 0;
}

/** Collects the tokens of one span or origin at a time. */
export class TokenList {
  readonly #tokensMax: number;
  readonly tokens: number[] = [];

  constructor(tokensMax: number) {
    this.#tokensMax = tokensMax;
  }

  /** Those of the attributes of a span, its events and its links. */
  ofSpan(span: OtlpSpan): readonly number[] {
    this.begin();
    this.add(span.attributes);
    for (const event of span.events ?? []) this.add(event.attributes);
    for (const link of span.links ?? []) this.add(link.attributes);
    return this.tokens;
  }

  begin(): void {
    this.tokens.length = 0;
  }

  add(attributes: readonly KeyValue[] | undefined): void {
    if (attributes === undefined) return;
    for (const { key, value } of attributes) {
      if (this.tokens.length >= this.#tokensMax) return;
      const text = valueText(value);
      if (text !== undefined) this.tokens.push(tokenOf(key, text));
    }
  }
}
