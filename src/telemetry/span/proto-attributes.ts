/**
 * Attributes as `KeyValue` messages of OTLP (opentelemetry-proto common/v1).
 *
 *   field  length  0a key  12  length  ┌ 0a text | 10 truth | 18 whole | 21 fraction | 2a list
 *          ──────────────────  ──────  └─────────────────────────────────────────────────────
 *          two bytes           two bytes; three, when a text is beyond 5 KB
 */

import type { ProtoBytes } from './proto-bytes.ts';
import type { AnySpanValue } from './span-keys.ts';

const KEY = 0x0a;
const VALUE = 0x12;
const TEXT = 0x0a;
const TRUTH = 0x10;
const WHOLE = 0x18;
const FRACTION = 0x21;
const LIST = 0x2a;
const LIST_VALUE = 0x0a;

/** Bytes of a length, and how long texts may be whose lengths have that. */
export const LENGTH_BYTES = 2;
const LONG_LENGTH_BYTES = 3;
const SHORT_TEXT_MAX = 5_000;

/** Where the value of an attribute, which is a text, has its lengths and itself. */
export class TextPlace {
  pair = 0;
  value = 0;
  text = 0;
}

/** A key with its tag and length, and the tag of what follows it. */
export function keyBytes(key: string): Uint8Array {
  const name = Buffer.from(key, 'utf8');
  // Names of attributes are short; a custom tag's is cut where one byte of length ends.
  const cut = name.subarray(0, 127);
  return Uint8Array.from([KEY, cut.length, ...cut, VALUE]);
}

/** A text; tells `place`, if given, where it is. */
export function putTextAttribute(
  out: ProtoBytes,
  tag: number,
  key: Uint8Array,
  text: string,
  place?: TextPlace,
): void {
  const width = text.length <= SHORT_TEXT_MAX ? LENGTH_BYTES : LONG_LENGTH_BYTES;
  out.putByte(tag);
  const pair = skip(out, width);
  out.putBytes(key);
  const value = skip(out, width);
  out.putByte(TEXT);
  const at = out.end;
  out.putText(text, width);
  out.closeLength(value, width);
  out.closeLength(pair, width);
  if (place === undefined) return;
  place.pair = pair;
  place.value = value;
  place.text = at;
}

/** A whole number: in `width` bytes when it is not negative, or in as many as it needs (0). */
export function putWholeAttribute(
  out: ProtoBytes,
  tag: number,
  key: Uint8Array,
  number: number,
  width: number,
): void {
  const { pair, value } = begin(out, tag, key);
  out.putByte(WHOLE);
  if (width === 0) out.putVarint(number);
  else out.putPadded(number, width);
  finish(out, pair, value);
}

/** Anything else. */
export function putAttribute(
  out: ProtoBytes,
  tag: number,
  key: Uint8Array,
  value: AnySpanValue,
): void {
  if (typeof value === 'string') putTextAttribute(out, tag, key, value);
  else if (typeof value === 'number' && Number.isSafeInteger(value)) {
    putWholeAttribute(out, tag, key, value, 0);
  } else if (typeof value === 'object') putList(out, tag, key, value);
  else {
    const places = begin(out, tag, key);
    out.putByte(typeof value === 'boolean' ? TRUTH : FRACTION);
    if (typeof value === 'boolean') out.putByte(value ? 1 : 0);
    else out.putDouble(value);
    finish(out, places.pair, places.value);
  }
}

function putList(out: ProtoBytes, tag: number, key: Uint8Array, texts: readonly string[]): void {
  const width = LONG_LENGTH_BYTES;
  out.putByte(tag);
  const pair = skip(out, width);
  out.putBytes(key);
  const value = skip(out, width);
  out.putByte(LIST);
  const list = skip(out, width);
  for (const text of texts) {
    out.putByte(LIST_VALUE);
    const each = skip(out, width);
    out.putByte(TEXT);
    out.putText(text, width);
    out.closeLength(each, width);
  }
  out.closeLength(list, width);
  out.closeLength(value, width);
  out.closeLength(pair, width);
}

function begin(
  out: ProtoBytes,
  tag: number,
  key: Uint8Array,
): { readonly pair: number; readonly value: number } {
  out.putByte(tag);
  const pair = skip(out, LENGTH_BYTES);
  out.putBytes(key);
  return { pair, value: skip(out, LENGTH_BYTES) };
}

function finish(out: ProtoBytes, pair: number, value: number): void {
  out.closeLength(value, LENGTH_BYTES);
  out.closeLength(pair, LENGTH_BYTES);
}

/** Leaves room for a length; returns where. */
export function skip(out: ProtoBytes, width: number): number {
  const at = out.room(width);
  out.end = at + width;
  return at;
}
