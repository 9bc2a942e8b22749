/**
 * Jaeger's query API v3, the part that finds traces: same paths, parameters, answers and errors.
 *
 * Checked against Jaeger 2.13 by test/viewer/query-api-cases.ts, which runs on both. Known
 * differences: answers say `application/json` (Jaeger lets Go guess text/plain), a search without a
 * depth finds 100 traces (Jaeger 2.13: status 500), and attributes stay in the sender's order.
 */

import type { ServerResponse } from 'node:http';
import type { ViewerLimits } from '../model/viewer-limits.ts';
import { answer } from './http-listener.ts';
import {
  type FoundParameter,
  findParameter,
  parseAttributes,
  parseDuration,
  parseTime,
  parseTraceId,
} from './query-parameters.ts';
import type { TraceEntry } from './trace-index.ts';
import { findTraces, type TraceQuery } from './trace-search.ts';
import type { TraceStore } from './trace-store.ts';

const base = '/api/v3/';
const tracesMaxDefault = 100;

/** Serves paths below `/api/v3/`. */
export class QueryApi {
  readonly #store: TraceStore;
  readonly #limits: ViewerLimits;

  constructor(store: TraceStore, limits: ViewerLimits) {
    this.#store = store;
    this.#limits = limits;
  }

  /** Answers a GET; false when the path is none of its own. */
  handle(path: string, parameters: URLSearchParams, response: ServerResponse): boolean {
    if (!path.startsWith(base)) return false;
    const rest = path.slice(base.length);
    if (rest === 'services') {
      answerJson(response, JSON.stringify({ services: this.#store.services() }));
    } else if (rest === 'operations') {
      const service = parameters.get('service') ?? '';
      const kind = findParameter(parameters, 'spanKind', 'span_kind')?.value ?? '';
      const operations = this.#store.operations(service, kind);
      answerJson(response, JSON.stringify({ operations }));
    } else if (rest === 'traces') {
      this.#search(parameters, response);
    } else if (rest.startsWith('traces/')) {
      this.#trace(rest.slice('traces/'.length), parameters, response);
    } else {
      answerError(response, 404, `no such resource: ${path}`);
    }
    return true;
  }

  #trace(text: string, parameters: URLSearchParams, response: ServerResponse): void {
    const traceId = parseTraceId(text);
    if (traceId === undefined) {
      answerError(
        response,
        400,
        `malformed parameter trace_id: '${text}' is not 1 to 32 hex digits`,
      );
      return;
    }
    // The time range is a hint for stores that are split by time; it is checked and not needed.
    const names: readonly (readonly [string, string])[] = [
      ['startTime', 'start_time'],
      ['endTime', 'end_time'],
    ];
    for (const [camel, snake] of names) {
      const found = findParameter(parameters, camel, snake);
      if (found !== undefined && parseTime(found.value) === undefined) {
        answerError(response, 400, malformed(found, timeHint));
        return;
      }
    }
    const trace = this.#store.trace(traceId);
    this.#answerTraces(response, trace === undefined ? [] : [trace]);
  }

  #search(parameters: URLSearchParams, response: ServerResponse): void {
    const query = readQuery(parameters, this.#limits.searchTracesMax);
    if (typeof query === 'string') answerError(response, 400, query);
    else this.#answerTraces(response, findTraces(this.#store, query, this.#limits));
  }

  /** All traces in one `result`, whole ones only, as many as fit; 404 when there is none. */
  #answerTraces(response: ServerResponse, traces: readonly TraceEntry[]): void {
    if (traces.length === 0) {
      answerError(response, 404, 'No traces found');
      return;
    }
    const fitting = fittingTraces(this.#store, traces, this.#limits.answerBytesMax);
    if (fitting.length === 0) answerError(response, 413, tooBigTrace(traces[0]!, this.#limits));
    else answerJson(response, traceJson(this.#store, fitting));
  }
}

const timeHint = 'is not an RFC 3339 time such as 2026-01-31T12:00:00Z';
const durationHint = 'is not a duration such as 1.5ms or 2s';

function malformed({ name, value }: FoundParameter, hint: string): string {
  return `malformed parameter ${name}: '${value.slice(0, 100)}' ${hint}`;
}

/** The query, or the sentence that says what is wrong with it. */
function readQuery(parameters: URLSearchParams, tracesMaxLimit: number): TraceQuery | string {
  const find = (...names: readonly string[]): FoundParameter | undefined =>
    findParameter(parameters, ...names.map((name) => `query.${name}`));
  const startMin = find('startTimeMin', 'start_time_min');
  const startMax = find('startTimeMax', 'start_time_max');
  if (startMin === undefined || startMax === undefined) {
    return 'query.start_time_min and query.start_time_max are required';
  }
  const startMinUs = parseTime(startMin.value);
  if (startMinUs === undefined) return malformed(startMin, timeHint);
  const startMaxUs = parseTime(startMax.value);
  if (startMaxUs === undefined) return malformed(startMax, timeHint);
  const durationMin = find('durationMin', 'duration_min');
  const durationMinNs = durationMin === undefined ? 0 : parseDuration(durationMin.value);
  if (durationMinNs === undefined) return malformed(durationMin!, durationHint);
  const durationMax = find('durationMax', 'duration_max');
  const durationMaxNs =
    durationMax === undefined ? Number.POSITIVE_INFINITY : parseDuration(durationMax.value);
  if (durationMaxNs === undefined) return malformed(durationMax!, durationHint);
  const depth = find('searchDepth', 'search_depth', 'num_traces');
  if (depth !== undefined && !/^0*[1-9]\d{0,8}$/.test(depth.value)) {
    return malformed(depth, 'is not a whole number from 1');
  }
  const tracesMax = depth === undefined ? tracesMaxDefault : Number(depth.value);
  const attributesSent = find('attributes');
  const attributes =
    attributesSent === undefined
      ? new Map<string, string>()
      : parseAttributes(attributesSent.value);
  if (attributes === undefined) {
    return malformed(attributesSent!, 'is not a JSON object of texts such as {"key":"value"}');
  }
  return {
    service: find('serviceName', 'service_name')?.value ?? '',
    operation: find('operationName', 'operation_name')?.value ?? '',
    startMinUs,
    startMaxUs,
    durationMinNs,
    durationMaxNs: durationMaxNs === 0 ? Number.POSITIVE_INFINITY : durationMaxNs,
    attributes,
    tracesMax: Math.min(tracesMax, tracesMaxLimit),
  };
}

/** The first of these traces whose JSON is at most `bytesMax` in all; one that is bigger is skipped. */
export function fittingTraces(
  store: TraceStore,
  traces: readonly TraceEntry[],
  bytesMax: number,
): readonly TraceEntry[] {
  const fitting: TraceEntry[] = [];
  let bytesLeft = bytesMax;
  for (const trace of traces) {
    const bytes = store.jsonBytes(trace);
    if (bytes > bytesMax) continue;
    bytesLeft -= bytes;
    if (bytesLeft < 0) break;
    fitting.push(trace);
  }
  return fitting;
}

/** Why a trace is not answered, for who asked. */
export function tooBigTrace({ traceId, spans }: TraceEntry, limits: ViewerLimits): string {
  const max = `an answer holds at most ${limits.answerBytesMax} bytes (answerBytesMax)`;
  return `trace ${traceId} of ${spans} spans is too big: ${max}`;
}

/** The bytes of an answer with these traces. */
export function traceJson(store: TraceStore, traces: readonly TraceEntry[]): Buffer {
  const pieces: Uint8Array[] = [];
  for (const trace of traces) store.writeTrace(trace, pieces);
  return Buffer.concat([answerHead, ...pieces, answerTail]);
}

const answerHead = Buffer.from('{"result":{"resourceSpans":[');
const answerTail = Buffer.from(']}}');

function answerJson(response: ServerResponse, body: string | Uint8Array): void {
  answer(response, 200, 'application/json', body);
}

/** An error in the shape of Jaeger's gateway, which sends no grpcCode (2.13). */
export function answerError(response: ServerResponse, httpCode: number, message: string): void {
  const body = JSON.stringify({ error: { httpCode, message } });
  answer(response, httpCode, 'application/json', `${body}\n`);
}
