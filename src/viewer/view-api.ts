/**
 * `GET /api/view/...`: what the page asks beside whole traces. The answers: view-answers.ts.
 */

import type { ServerResponse } from 'node:http';
import type { ViewerLimits } from '../model/viewer-limits.ts';
import { answer } from './http-listener.ts';
import type { MetricStore } from './metric-store.ts';
import { answerError } from './query-api.ts';
import { compareSubsets, listRoutes } from './route-comparison.ts';
import { drawGraph } from './service-graph.ts';
import { findTraces } from './trace-search.ts';
import type { TraceStore } from './trace-store.ts';
import { summarizeTrace } from './trace-summary.ts';
import type { SearchAnswer, ServicesAnswer, StatusAnswer } from './view-answers.ts';
import {
  BadParameter,
  readBoolean,
  readDuration,
  readNumber,
  readTags,
} from './view-parameters.ts';

const base = '/api/view/';
const listedTraces = 50;
const anyDurationNs = Number.POSITIVE_INFINITY;

type Answerer = (parameters: URLSearchParams) => unknown;

/** Serves paths below `/api/view/`. */
export class ViewApi {
  readonly #store: TraceStore;
  readonly #limits: ViewerLimits;
  readonly #answers: ReadonlyMap<string, Answerer>;

  constructor(
    store: TraceStore,
    metrics: MetricStore,
    limits: ViewerLimits,
    status: () => StatusAnswer,
  ) {
    this.#store = store;
    this.#limits = limits;
    this.#answers = new Map<string, Answerer>([
      ['search', (parameters) => this.#search(parameters)],
      ['services', () => this.#services()],
      ['routes', (parameters) => listRoutes(metrics, readSeconds(parameters, 300))],
      [
        'ab',
        (parameters) => {
          const route = parameters.get('route') ?? '';
          const seconds = readSeconds(parameters, 300);
          return compareSubsets(metrics, store, { route, seconds }, limits);
        },
      ],
      ['graph', (parameters) => drawGraph(metrics, store, readSeconds(parameters, 60))],
      ['status', status],
    ]);
  }

  /** Answers a GET; false when the path is none of its own. */
  handle(path: string, parameters: URLSearchParams, response: ServerResponse): boolean {
    const find = path.startsWith(base) ? this.#answers.get(path.slice(base.length)) : undefined;
    if (find === undefined) return false;
    try {
      answer(response, 200, 'application/json', JSON.stringify(find(parameters)));
    } catch (error) {
      if (!(error instanceof BadParameter)) throw error;
      answerError(response, 400, error.message);
    }
    return true;
  }

  #search(parameters: URLSearchParams): SearchAnswer {
    const tracesMax = readNumber(parameters, 'limit', {
      min: 1,
      max: this.#limits.searchTracesMax,
      otherwise: listedTraces,
    });
    const max = Number.MAX_SAFE_INTEGER;
    const before = readNumber(parameters, 'before', { min: 0, max, otherwise: 0 });
    const found = findTraces(
      this.#store,
      {
        service: parameters.get('service') ?? '',
        operation: parameters.get('operation') ?? '',
        startMinUs: 0,
        startMaxUs: Number.POSITIVE_INFINITY,
        durationMinNs: readDuration(parameters, 'min', 0),
        durationMaxNs: readDuration(parameters, 'max', anyDurationNs),
        attributes: readTags(parameters, 'tags'),
        hasError: readBoolean(parameters, 'error'),
        before: before === 0 ? undefined : before,
        // One more than is shown says whether there are more.
        tracesMax: tracesMax + 1,
      },
      this.#limits,
    );
    const traces = found.slice(0, tracesMax);
    return {
      traces: traces.map((trace) => summarizeTrace(this.#store, trace)),
      more: found.length > traces.length,
      next: traces.at(-1)?.order ?? 0,
    };
  }

  #services(): ServicesAnswer {
    const services = this.#store.services().map((service) => {
      const names = this.#store.operations(service, '').map(({ name }) => name);
      return { service, operations: [...new Set(names)] };
    });
    return { services };
  }
}

/** How far back counters are added up; they are kept for an hour. */
function readSeconds(parameters: URLSearchParams, otherwise: number): number {
  return readNumber(parameters, 'seconds', { min: 5, max: 3600, otherwise });
}
