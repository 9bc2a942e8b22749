/**
 * How many spans are in OTLP exports, without decoding them.
 *
 * In JSON every span has one "spanId" of its own (a parent's is "parentSpanId"). In protobuf the
 * outer three messages are walked by their lengths and the spans skipped:
 *
 *    ExportTraceServiceRequest { 1: ResourceSpans { 2: ScopeSpans { 2: Span } } }
 */

import { gunzipSync } from 'node:zlib';

export interface Export {
  readonly type: 'json' | 'protobuf';
  readonly zipped: boolean;
  readonly parts: readonly Buffer[];
}

const heldBytesMax = 64 * 2 ** 20;
const pathToSpan = [1, 2, 2];
const lengthDelimited = 2;

/** Keeps exports aside and counts them when asked, or when too many bytes are held. */
export class SpanCount {
  #held: Export[] = [];
  #heldBytes = 0;
  #counted = 0;

  add(one: Export): void {
    this.#held.push(one);
    for (const part of one.parts) this.#heldBytes += part.length;
    if (this.#heldBytes > heldBytesMax) this.total();
  }

  /** All spans so far. */
  total(): number {
    for (const one of this.#held) this.#counted += countSpans(one);
    this.#held = [];
    this.#heldBytes = 0;
    return this.#counted;
  }
}

/** Throws an Error when the body is not what its type says. */
export function countSpans({ type, zipped, parts }: Export): number {
  const packed = parts.length === 1 ? parts[0]! : Buffer.concat(parts);
  const body = zipped ? gunzipSync(packed) : packed;
  return type === 'json' ? countInJson(body) : countInProtobuf(body, 0, body.length, 0);
}

function countInJson(body: Buffer): number {
  let count = 0;
  for (let at = body.indexOf('"spanId"'); at >= 0; at = body.indexOf('"spanId"', at + 8)) count++;
  return count;
}

/** Messages of `pathToSpan[depth]` within bytes `at` to `end`; the last level is counted. */
function countInProtobuf(body: Buffer, start: number, end: number, depth: number): number {
  let count = 0;
  let at = start;
  while (at < end) {
    const tag = readVarint(body, at);
    if ((tag.value & 7) !== lengthDelimited) throw new Error('not an OTLP export');
    const length = readVarint(body, tag.next);
    const next = length.next + length.value;
    if (next > end) throw new Error('an OTLP export was cut');
    if (tag.value >> 3 === pathToSpan[depth]) {
      count += depth === 2 ? 1 : countInProtobuf(body, length.next, next, depth + 1);
    }
    at = next;
  }
  return count;
}

function readVarint(body: Buffer, start: number): { value: number; next: number } {
  let value = 0;
  let at = start;
  for (let shift = 0; shift < 35; shift += 7) {
    const byte = body[at++];
    if (byte === undefined) break;
    value += (byte & 0x7f) * 2 ** shift;
    if (byte < 0x80) return { value, next: at };
  }
  throw new Error('an OTLP export was cut');
}
