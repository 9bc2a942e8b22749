/**
 * What the page asks of the viewer: Jaeger's query API v3 for whole traces, `/api/view/` for the
 * rest.
 *
 * An answer is either what was asked for or an ApiProblem whose message is one sentence for the
 * person who looks at the page.
 */

import { asObject } from '../otlp-json.ts';
import { readStoredTrace, type StoredTrace } from '../stored-trace.ts';
import type {
  AbAnswer,
  GraphAnswer,
  RoutesAnswer,
  SearchAnswer,
  ServicesAnswer,
  StatusAnswer,
} from '../view-answers.ts';

export class ApiProblem extends Error {
  override readonly name = 'ApiProblem';
  /** Of the answer; 0 when there was none. */
  readonly status: number;

  constructor(message: string, status: number) {
    super(message);
    this.status = status;
  }
}

/** A trace by its id, any number of hex digits up to 32. Rejects with ApiProblem. */
export async function fetchTrace(id: string): Promise<StoredTrace> {
  const traceId = id.toLowerCase().padStart(32, '0');
  if (!/^[0-9a-f]{32}$/.test(traceId)) {
    throw new ApiProblem(
      'A trace id is up to 32 hex digits; this address has something else.',
      400,
    );
  }
  const body = await get(`/api/v3/traces/${traceId}`);
  const trace = readStoredTrace(traceId, body);
  if (trace === undefined) throw new ApiProblem('The answer is not a trace.', 200);
  return trace;
}

export interface SearchQuery {
  readonly service: string;
  readonly operation: string;
  /** `key=value` words. */
  readonly tags: string;
  /** Durations such as `1.5ms`. */
  readonly min: string;
  readonly max: string;
  readonly error: boolean;
  readonly limit: number;
  /** 0 for the newest. */
  readonly before: number;
}

export async function search(query: SearchQuery): Promise<SearchAnswer> {
  const { error, limit, before, ...texts } = query;
  const parameters = new URLSearchParams({ limit: String(limit) });
  for (const [name, value] of Object.entries(texts)) if (value !== '') parameters.set(name, value);
  if (error) parameters.set('error', 'true');
  if (before > 0) parameters.set('before', String(before));
  return (await get(`/api/view/search?${parameters}`)) as SearchAnswer;
}

export async function fetchServices(): Promise<ServicesAnswer> {
  return (await get('/api/view/services')) as ServicesAnswer;
}

export async function fetchRoutes(seconds: number): Promise<RoutesAnswer> {
  return (await get(`/api/view/routes?seconds=${seconds}`)) as RoutesAnswer;
}

export async function fetchAb(route: string, seconds: number): Promise<AbAnswer> {
  const parameters = new URLSearchParams({ route, seconds: String(seconds) });
  return (await get(`/api/view/ab?${parameters}`)) as AbAnswer;
}

export async function fetchGraph(seconds: number): Promise<GraphAnswer> {
  return (await get(`/api/view/graph?seconds=${seconds}`)) as GraphAnswer;
}

export async function fetchStatus(): Promise<StatusAnswer> {
  return (await get('/api/view/status')) as StatusAnswer;
}

/** A viewer that hangs is one that does not answer. */
const answerMs = 60_000;

async function get(path: string): Promise<unknown> {
  let response: Response;
  try {
    const signal = AbortSignal.timeout(answerMs);
    response = await fetch(path, { headers: { accept: 'application/json' }, signal });
  } catch {
    throw new ApiProblem('The viewer does not answer: has it been stopped?', 0);
  }
  let body: unknown;
  try {
    body = await response.json();
  } catch {
    throw new ApiProblem(`The viewer answered ${response.status}, and no JSON.`, response.status);
  }
  if (response.ok) return body;
  const message = asObject(asObject(body)?.error)?.message;
  throw new ApiProblem(
    typeof message === 'string' ? message : `The viewer answered ${response.status}.`,
    response.status,
  );
}
