/**
 * The line of an answer that says whether the trace of its request is exported:
 *
 *    server-timing: trace;desc=00-<trace id>-<span id>-0x      W3C's draft; x bit 0: it is
 *
 * The inbound half puts it behind all other fields of an answer to a meshed caller, whose outbound half
 * takes it out again, so that applications get what applications sent. Believed is only the last such
 * field, exactly as we write it, with the id of the trace that was asked in, and of a peer. Of others the
 * metric `trace` is taken out unread where an answer is normalised anyway; every other metric stays.
 */

import { type ExchangeRecord, RecordFlag } from '../../telemetry/record/exchange-record.ts';
import { FieldId } from '../../wire/http1/field-id.ts';
import { Dropped, type MessageHead } from '../../wire/http1/message-head.ts';

const NAME = 'server-timing';
const VALUE = 'trace;desc=00-';
const hexDigits = Buffer.from('0123456789abcdef', 'latin1');
const line = Buffer.from(`${NAME}: ${VALUE}${'0'.repeat(32)}-${'0'.repeat(16)}-00\r\n`, 'latin1');
const TRACE_AT = NAME.length + 2 + VALUE.length;
const SPAN_AT = TRACE_AT + 33;
const FLAGS_AT = SPAN_AT + 17;
const VALUE_BYTES = VALUE.length + 32 + 1 + 16 + 1 + 2;
const TRACE_IN_VALUE = VALUE.length;

export const SERVER_TIMING_BYTES = line.length;

/** What an answer says of its trace. */
export const Said = { Nothing: 0, NotKept: 1, Kept: 2 } as const;

/** Writes the line at `out[at]`, which has room for SERVER_TIMING_BYTES, and returns its end. */
export function putServerTiming(
  record: ExchangeRecord,
  isKept: boolean,
  out: Uint8Array,
  at: number,
): number {
  writeWord(record.traceId0, TRACE_AT);
  writeWord(record.traceId1, TRACE_AT + 8);
  writeWord(record.traceId2, TRACE_AT + 16);
  writeWord(record.traceId3, TRACE_AT + 24);
  writeWord(record.spanId0, SPAN_AT);
  writeWord(record.spanId1, SPAN_AT + 8);
  const random = (record.flags & RecordFlag.RandomId) === 0 ? 0 : 2;
  line[FLAGS_AT + 1] = hexDigits[(isKept ? 1 : 0) | random]!;
  out.set(line, at);
  return at + SERVER_TIMING_BYTES;
}

function writeWord(word: number, at: number): void {
  for (let index = 0; index < 8; index++) {
    line[at + index] = hexDigits[(word >>> (28 - 4 * index)) & 15]!;
  }
}

/** The line as text; `name` is the metric's: `trace`, or `traceparent` as browsers' tools read it. */
export function printServerTiming(
  record: ExchangeRecord,
  isKept: boolean,
  name: 'trace' | 'traceparent',
): string {
  const out = Buffer.allocUnsafe(SERVER_TIMING_BYTES);
  putServerTiming(record, isKept, out, 0);
  const text = out.latin1Slice(0, SERVER_TIMING_BYTES);
  if (name === 'trace') return text;
  return `${NAME}: traceparent;desc="${text.slice(TRACE_AT - 3, FLAGS_AT + 2)}"\r\n`;
}

/** Index of the last field of that name, or -1. */
export function lastServerTiming({ ids, count }: MessageHead): number {
  let index = count - 1;
  while (index >= 0 && ids[index] !== FieldId.ServerTiming) index--;
  return index;
}

/** What field `index` says of the trace of `record`: a `Said`. */
export function readServerTiming(head: MessageHead, index: number, record: ExchangeRecord): number {
  const { text } = head;
  const start = head.valueStart[index]!;
  const isOurs =
    head.valueEnd[index]! - start === VALUE_BYTES &&
    text.startsWith(VALUE, start) &&
    isWord(text, start + TRACE_IN_VALUE, record.traceId0) &&
    isWord(text, start + TRACE_IN_VALUE + 8, record.traceId1) &&
    isWord(text, start + TRACE_IN_VALUE + 16, record.traceId2) &&
    isWord(text, start + TRACE_IN_VALUE + 24, record.traceId3);
  if (!isOurs) return Said.Nothing;
  const flags = text.charCodeAt(start + VALUE_BYTES - 1);
  if (text.charCodeAt(start + VALUE_BYTES - 2) !== ZERO || flags < ZERO || flags > THREE) {
    return Said.Nothing;
  }
  return (flags & 1) === 1 ? Said.Kept : Said.NotKept;
}

const ZERO = 0x30;
const THREE = 0x33;

/** Whether `text` has the eight digits of `word` at `at`. */
function isWord(text: string, at: number, word: number): boolean {
  for (let index = 0; index < 8; index++) {
    const digit = hexDigits[(word >>> (28 - 4 * index)) & 15];
    if (text.charCodeAt(at + index) !== digit) return false;
  }
  return true;
}

/**
 * Takes the metrics `trace` and `traceparent` out of a response. Returns the lines to add instead of the
 * fields that had others beside them. Cold.
 */
export function stripServerTiming(head: MessageHead): string {
  let lines = '';
  for (let index = 0; index < head.count; index++) {
    if (head.dropped[index] === Dropped.Never || head.ids[index] !== FieldId.ServerTiming) continue;
    const metrics = splitMetrics(head.value(index));
    const rest = metrics.filter((metric) => !isTraceMetric(metric));
    if (rest.length === metrics.length) continue;
    head.dropped[index] = Dropped.Never;
    if (rest.length > 0) lines += `${head.name(index)}: ${rest.join(',')}\r\n`;
  }
  return lines;
}

function isTraceMetric(metric: string): boolean {
  const end = metric.indexOf(';');
  const name = metric.slice(0, end === -1 ? metric.length : end).trim();
  return /^trace(?:parent)?$/i.test(name);
}

/** At the commas that are in no quoted string (RFC 9110 5.6.4). */
function splitMetrics(value: string): string[] {
  const metrics: string[] = [];
  let start = 0;
  let isQuoted = false;
  for (let at = 0; at < value.length; at++) {
    const sign = value[at];
    if (isQuoted && sign === '\\') at++;
    else if (sign === '"') isQuoted = !isQuoted;
    else if (sign === ',' && !isQuoted) {
      metrics.push(value.slice(start, at));
      start = at + 1;
    }
  }
  metrics.push(value.slice(start));
  return metrics;
}
