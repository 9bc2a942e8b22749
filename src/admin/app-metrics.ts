/**
 * The application's page of metrics, asked for inside the pod when somebody scrapes the sidecar.
 *
 * Where a workload takes mutual TLS alone a scraper could not ask it. One question is under way at a time:
 * who asks meanwhile gets the same answer, or none when its own patience ends. It is bounded in bytes and
 * time, and whatever is wrong with it is an answer too, so that our own metrics are never lost with it.
 */

import type { IncomingMessage } from 'node:http';
import type { Milliseconds } from '../base/clock.ts';
import type { WakeUps } from '../base/deadlines.ts';
import { appMetricsLimits } from '../model/metrics-limits.ts';
import { contentTypes, type TextFormat } from '../telemetry/metrics/metric-text.ts';
import { type MetricBlock, MetricTextReader } from '../telemetry/metrics/metric-text-reader.ts';

// As in page-server.ts: an ESM import of it costs every sidecar 15 MB.
const http = process.getBuiltinModule('node:http');

/** What a scraper would ask. */
export interface AppMetricsPage {
  readonly port: number;
  /** With its query. */
  readonly path: string;
}

export type AppMetricsAnswer =
  | { readonly format: TextFormat; readonly blocks: readonly MetricBlock[] }
  /** What is wrong, for a person. */
  | { readonly problem: string };

export interface AppMetricsOptions {
  readonly page: AppMetricsPage;
  /** Where the application listens: an address of the pod. */
  readonly address: string;
  readonly wakeUps: WakeUps;
  /** Called when the problem is another than before; empty: there is none any more. */
  readonly onProblem: (problem: string) => void;
}

/** `PORT/PATH`, as the injector writes it from `prometheus.io/port` and `prometheus.io/path`. */
export function readAppMetrics(text: string): AppMetricsPage | { readonly problem: string } {
  const [, port, path] = /^([1-9]\d{0,4})(\/[\x21-\x7e]*)$/.exec(text) ?? [];
  if (port === undefined || path === undefined || Number(port) > 65_535) {
    return { problem: `is PORT/PATH such as 8080/metrics, not '${text}'` };
  }
  return { port: Number(port), path };
}

/** One question that is under way. */
interface Question {
  readonly answer: Promise<AppMetricsAnswer>;
  readonly aborting: AbortController;
  /** Who still waits for it. */
  waiting: number;
}

export class AppMetrics {
  readonly #options: AppMetricsOptions;
  readonly #asked = new Map<TextFormat, Question>();
  #problem = '';

  constructor(options: AppMetricsOptions) {
    this.#options = options;
  }

  /** In `format` if the application speaks it, or a problem after `timeoutMs`. Never rejects. */
  ask(format: TextFormat, timeoutMs: Milliseconds): Promise<AppMetricsAnswer> {
    const question = this.#asked.get(format) ?? this.#begin(format);
    question.waiting++;
    return new Promise((resolve) => {
      const callOff = this.#options.wakeUps.after(timeoutMs, () => {
        const problem = `no answer within ${timeoutMs / 1_000} s`;
        question.waiting--;
        if (question.waiting === 0) this.#giveUp(format, question, problem);
        resolve({ problem });
      });
      void question.answer.then((answer) => {
        callOff();
        resolve(answer);
      });
    });
  }

  #begin(format: TextFormat): Question {
    const aborting = new AbortController();
    const { wakeUps } = this.#options;
    const { askTimeoutMs } = appMetricsLimits;
    const question: Question = {
      answer: this.#fetch(format, aborting.signal).finally(() => {
        callOff();
        this.#forget(format, question);
      }),
      aborting,
      waiting: 0,
    };
    // However many come one after the other: what does not answer is asked anew.
    const callOff = wakeUps.after(askTimeoutMs, () =>
      this.#giveUp(format, question, `no answer within ${askTimeoutMs / 1_000} s`),
    );
    this.#asked.set(format, question);
    return question;
  }

  /** Who asks from now on asks anew. */
  #giveUp(format: TextFormat, question: Question, why: string): void {
    this.#forget(format, question);
    question.aborting.abort(new Error(why));
  }

  #forget(format: TextFormat, question: Question): void {
    if (this.#asked.get(format) === question) this.#asked.delete(format);
  }

  async #fetch(format: TextFormat, signal: AbortSignal): Promise<AppMetricsAnswer> {
    const { page, address, onProblem } = this.#options;
    let answer: AppMetricsAnswer;
    try {
      answer = await getPage(page, address, format, signal);
    } catch (error) {
      const cause = signal.aborted ? signal.reason : error;
      answer = { problem: cause instanceof Error ? cause.message : String(cause) };
    }
    const problem = 'problem' in answer ? answer.problem : '';
    if (problem !== this.#problem) onProblem(problem);
    this.#problem = problem;
    return answer;
  }
}

/** The application may prefer the other format; what it answers counts. */
const accepts: Readonly<Record<TextFormat, string>> = {
  openmetrics: 'application/openmetrics-text;version=1.0.0,text/plain;version=0.0.4;q=0.5',
  prometheus: 'text/plain;version=0.0.4',
};

async function getPage(
  { port, path }: AppMetricsPage,
  address: string,
  format: TextFormat,
  signal: AbortSignal,
): Promise<AppMetricsAnswer> {
  const response = await new Promise<IncomingMessage>((resolve, reject) => {
    const headers = { Accept: accepts[format], 'User-Agent': 'tracecar' };
    const asked = http.request({ host: address, port, path, headers, signal, agent: false });
    asked.on('response', resolve);
    asked.on('error', reject);
    asked.end();
  });
  const { statusCode } = response;
  const type = response.headers['content-type'] ?? contentTypes.prometheus;
  const answered = formatOfType(type);
  if (statusCode !== 200 || answered === undefined) {
    response.destroy();
    const problem =
      statusCode === 200
        ? `it answered with ${JSON.stringify(type.slice(0, 80))}, which is no text of metrics`
        : `it answered ${statusCode}`;
    return { problem };
  }
  return readPage(response, answered);
}

async function readPage(response: IncomingMessage, format: TextFormat): Promise<AppMetricsAnswer> {
  const { pageBytesMax, lineLengthMax } = appMetricsLimits;
  const reader = new MetricTextReader(format, lineLengthMax);
  // Pieces of characters are put together: a line may be cut anywhere.
  const decoder = new TextDecoder();
  let bytes = 0;
  for await (const chunk of response as AsyncIterable<Buffer>) {
    bytes += chunk.length;
    // Leaving the loop destroys the response.
    if (bytes > pageBytesMax) return { problem: `its page is larger than ${pageBytesMax} bytes` };
    reader.push(decoder.decode(chunk, { stream: true }));
    if (reader.problem !== '') return { problem: `its page has a mistake in ${reader.problem}` };
  }
  const blocks = reader.end();
  return reader.problem === '' ? { format, blocks } : { problem: `of its page, ${reader.problem}` };
}

function formatOfType(type: string): TextFormat | undefined {
  const [media = ''] = type.toLowerCase().split(';', 1);
  if (media.trim() === 'application/openmetrics-text') return 'openmetrics';
  return media.trim() === 'text/plain' ? 'prometheus' : undefined;
}
