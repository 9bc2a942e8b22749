/**
 * The part of Jaeger's older query API that its newest release still has or that people's tools ask:
 * services, operations, one trace, a search (Grafana's Jaeger source), dependencies.
 *
 *   /api/services  /api/services/S/operations  /api/operations?service&spanKind
 *   /api/traces/ID  /api/traces?service&...  /api/dependencies?endTs&lookback
 *
 * Same answers as Jaeger 2.13 (test/viewer/query-api-cases.ts runs on both), but for the media type of
 * errors, and pairs of the same service are never dependencies.
 */

import type { ServerResponse } from 'node:http';
import type { Clock } from '../base/clock.ts';
import type { ViewerLimits } from '../model/viewer-limits.ts';
import { findDependencies } from './dependencies.ts';
import { answer } from './http-listener.ts';
import { type JaegerTrace, jaegerTrace } from './jaeger-json.ts';
import { readLegacyQuery } from './legacy-query.ts';
import type { TracesData } from './otlp-json.ts';
import { fittingTraces, tooBigTrace, traceJson } from './query-api.ts';
import { parseTraceId } from './query-parameters.ts';
import type { TraceEntry } from './trace-index.ts';
import { findTraces } from './trace-search.ts';
import type { TraceStore } from './trace-store.ts';

const dayMs = 86_400_000;

/** Serves paths below `/api/` that are not v3's. */
export class LegacyApi {
  readonly #store: TraceStore;
  readonly #limits: ViewerLimits;
  readonly #clock: Clock;

  constructor(store: TraceStore, limits: ViewerLimits, clock: Clock) {
    this.#store = store;
    this.#limits = limits;
    this.#clock = clock;
  }

  /** Answers a GET; false when the path is none of its own. */
  handle(path: string, parameters: URLSearchParams, response: ServerResponse): boolean {
    const [, api, what, name, more, ...rest] = path.split('/');
    if (api !== 'api' || rest.length > 0) return false;
    if (what === 'services' && name === undefined) {
      answerList(response, this.#store.services());
    } else if (what === 'services' && more === 'operations') {
      this.#operationNames(decode(name ?? ''), response);
    } else if (what === 'operations' && name === undefined) {
      this.#operations(parameters, response);
    } else if (what === 'traces' && name !== undefined && more === undefined) {
      this.#trace(name, response);
    } else if (what === 'traces' && name === undefined) {
      this.#search(parameters, response);
    } else if (what === 'dependencies' && name === undefined) {
      this.#dependencies(parameters, response);
    } else {
      return false;
    }
    return true;
  }

  #operationNames(service: string, response: ServerResponse): void {
    const names = this.#store.operations(service, '').map((operation) => operation.name);
    answerList(response, [...new Set(names)]);
  }

  #operations(parameters: URLSearchParams, response: ServerResponse): void {
    const service = parameters.get('service') ?? '';
    answerList(response, this.#store.operations(service, parameters.get('spanKind') ?? ''));
  }

  #trace(text: string, response: ServerResponse): void {
    const traceId = parseTraceId(text);
    if (traceId === undefined) {
      answerProblem(response, 400, `'${text.slice(0, 100)}' is not 1 to 32 hex digits`);
      return;
    }
    const trace = this.#store.trace(traceId);
    if (trace === undefined) answerProblem(response, 404, 'trace not found');
    else this.#answerTraces(response, [trace]);
  }

  /** Whole traces, as many as fit into an answer; with `traceID` those, else what the query finds. */
  #search(parameters: URLSearchParams, response: ServerResponse): void {
    const ids = parameters.getAll('traceID').slice(0, this.#limits.searchTracesMax);
    const query = readLegacyQuery(parameters, this.#limits.searchTracesMax);
    let found: readonly (TraceEntry | undefined)[];
    if (ids.length > 0) {
      found = ids.map((id) => this.#store.trace(parseTraceId(id) ?? ''));
    } else if (typeof query === 'string') {
      answerProblem(response, 400, query);
      return;
    } else {
      found = findTraces(this.#store, query, this.#limits);
    }
    this.#answerTraces(
      response,
      found.filter((trace) => trace !== undefined),
    );
  }

  #answerTraces(response: ServerResponse, traces: readonly TraceEntry[]): void {
    // In this form a trace is about half as long again.
    const fitting = fittingTraces(this.#store, traces, this.#limits.answerBytesMax / 1.5);
    if (traces.length > 0 && fitting.length === 0) {
      answerProblem(response, 413, tooBigTrace(traces[0]!, this.#limits));
      return;
    }
    const data = fitting.map((trace) => this.#jaegerTrace(trace));
    answerData(response, data, 0);
  }

  #jaegerTrace(trace: TraceEntry): JaegerTrace {
    const json = traceJson(this.#store, [trace]).toString();
    return jaegerTrace(trace.traceId, (JSON.parse(json) as { result: TracesData }).result);
  }

  /** `endTs`: milliseconds, now if absent; `lookback`: milliseconds before it, a day if absent. */
  #dependencies(parameters: URLSearchParams, response: ServerResponse): void {
    const nowMs = Math.ceil(this.#clock.epochMs + this.#clock.now());
    const endMs = readMilliseconds(parameters.get('endTs'), nowMs);
    const lookbackMs = readMilliseconds(parameters.get('lookback'), dayMs);
    if (endMs === undefined || lookbackMs === undefined) {
      const name = endMs === undefined ? 'endTs' : 'lookback';
      answerProblem(response, 400, `unable to parse param '${name}': not milliseconds`);
      return;
    }
    const found = findDependencies(this.#store, (endMs - lookbackMs) * 1000, endMs * 1000);
    const data = found.map(({ parent, child, calls }) => ({ parent, child, callCount: calls }));
    answerData(response, data, 0);
  }
}

/** The name between two slashes; one that is badly encoded is the name of no service. */
function decode(text: string): string {
  try {
    return decodeURIComponent(text);
  } catch {
    return '';
  }
}

function readMilliseconds(text: string | null, otherwise: number): number | undefined {
  if (text === null || text === '') return otherwise;
  return /^\d{1,15}$/.test(text) ? Number(text) : undefined;
}

function answerList(response: ServerResponse, data: readonly unknown[]): void {
  answerData(response, data.length === 0 ? null : data, data.length);
}

function answerData(response: ServerResponse, data: unknown, total: number): void {
  const body = JSON.stringify({ data, total, limit: 0, offset: 0, errors: null });
  answer(response, 200, 'application/json', body);
}

function answerProblem(response: ServerResponse, code: number, msg: string): void {
  const errors = [{ code, msg }];
  const body = JSON.stringify({ data: null, total: 0, limit: 0, offset: 0, errors });
  answer(response, code, 'application/json', body);
}
