/**
 * Reads attributes that strangers sent into ours: known fields only, each value cut to its limit.
 *
 * What does not fit is dropped and counted, never refused: a span with a bad attribute is still a
 * span. One reader serves one span, resource, event or link at a time; `begin` starts its budget.
 */

import type { ViewerLimits } from '../model/viewer-limits.ts';
import { type AnyValue, asObject, type KeyValue } from './otlp-json.ts';

const integerText = /^-?\d{1,19}$/;
const base64Text = /^[A-Za-z0-9+/_-]*={0,2}$/;
/** What an attribute or a list element costs beside its text. */
const valueBytes = 16;

export class AttributeReader {
  /** Attributes left out of the last `read`: malformed, too many or over the budget. */
  dropped = 0;
  readonly #limits: ViewerLimits;
  #room: number;

  constructor(limits: ViewerLimits) {
    this.#limits = limits;
    this.#room = limits.spanBytesMax;
  }

  /** Starts the byte budget of the next span or resource. */
  begin(): void {
    this.#room = this.#limits.spanBytesMax;
  }

  /** Whether the budget of this span is used up. */
  get isFull(): boolean {
    return this.#room <= 0;
  }

  /** The good attributes of `list` (anything), or undefined when there is none. */
  read(list: unknown): readonly KeyValue[] | undefined {
    this.dropped = 0;
    if (!Array.isArray(list)) return undefined;
    const kept = this.#pairs(list);
    this.dropped = list.length - kept.length;
    return kept.length === 0 ? undefined : kept;
  }

  /** A text cut to `attributeBytesMax`, or undefined when it is none; it uses the budget. */
  text(value: unknown): string | undefined {
    if (typeof value !== 'string') return undefined;
    const kept = cutText(value, this.#limits.attributeBytesMax);
    this.#room -= kept.length;
    return kept;
  }

  #pairs(list: readonly unknown[]): KeyValue[] {
    const kept: KeyValue[] = [];
    for (const each of list) {
      if (kept.length >= this.#limits.attributesMax || this.#room <= 0) break;
      const pair = asObject(each);
      const key = pair === undefined ? undefined : this.text(pair.key);
      if (pair === undefined || key === undefined || key === '') continue;
      const value = this.#value(pair.value);
      if (value !== undefined) kept.push({ key, value });
    }
    return kept;
  }

  /** The nesting is bounded by the guard that ran before JSON.parse. */
  #value(sent: unknown): AnyValue | undefined {
    this.#room -= valueBytes;
    if (sent === undefined || sent === null) return {};
    const value = asObject(sent);
    if (value === undefined) return undefined;
    if (typeof value.stringValue === 'string') {
      const stringValue = this.text(value.stringValue)!;
      return this.#room < 0 ? undefined : { stringValue };
    }
    if (value.intValue !== undefined) return integerValue(value.intValue);
    if (typeof value.boolValue === 'boolean') return { boolValue: value.boolValue };
    if (value.doubleValue !== undefined) return doubleValue(value.doubleValue);
    if (value.arrayValue !== undefined) {
      return { arrayValue: listOf(this.#elements(asObject(value.arrayValue)?.values)) };
    }
    if (value.kvlistValue !== undefined) {
      const values = asObject(value.kvlistValue)?.values;
      return { kvlistValue: listOf(Array.isArray(values) ? this.#pairs(values) : []) };
    }
    if (value.bytesValue !== undefined) return this.#bytes(value.bytesValue);
    return {};
  }

  #elements(values: unknown): AnyValue[] {
    const kept: AnyValue[] = [];
    if (!Array.isArray(values)) return kept;
    for (const each of values) {
      if (this.#room <= 0) break;
      const value = this.#value(each);
      if (value !== undefined) kept.push(value);
    }
    return kept;
  }

  /** Base64 is kept whole or dropped: cut, it would be other bytes. */
  #bytes(sent: unknown): AnyValue | undefined {
    if (typeof sent !== 'string' || sent.length > this.#limits.attributeBytesMax) return undefined;
    this.#room -= sent.length;
    return base64Text.test(sent) ? { bytesValue: sent } : undefined;
  }
}

function listOf<T>(values: readonly T[]): { readonly values?: readonly T[] } {
  return values.length === 0 ? {} : { values };
}

/** From 2^53 on a JSON number has lost digits already; what is left is still the best there is. */
function integerValue(sent: unknown): AnyValue | undefined {
  if (typeof sent === 'string' && integerText.test(sent)) return { intValue: sent };
  const isInt64 = typeof sent === 'number' && Number.isInteger(sent) && Math.abs(sent) < 2 ** 63;
  return isInt64 ? { intValue: String(BigInt(sent)) } : undefined;
}

/**
 * JavaScript writes NaN and both infinities as null: which of them it was is lost, so the value is
 * empty, as null is in protobuf's JSON.
 */
function doubleValue(sent: unknown): AnyValue | undefined {
  if (sent === null) return {};
  if (sent === 'NaN' || sent === 'Infinity' || sent === '-Infinity') return { doubleValue: sent };
  if (typeof sent !== 'number') return undefined;
  if (Number.isFinite(sent)) return { doubleValue: sent };
  if (Number.isNaN(sent)) return { doubleValue: 'NaN' };
  return { doubleValue: sent > 0 ? 'Infinity' : '-Infinity' };
}

/** `text` in at most `bytesMax` bytes of UTF-8, cut between characters. */
function cutText(text: string, bytesMax: number): string {
  // A UTF-16 unit is at most 3 bytes.
  if (text.length * 3 <= bytesMax || Buffer.byteLength(text) <= bytesMax) return text;
  const bytes = Buffer.from(text.slice(0, bytesMax));
  let end = Math.min(bytesMax, bytes.length);
  while (end > 0 && end < bytes.length && (bytes[end]! & 0xc0) === 0x80) end--;
  return bytes.toString('utf8', 0, end);
}
