/**
 * A collector that is killed under load and comes back: what a sidecar's accounts say meanwhile and at
 * the end, and what the collector got of it. T9 in its short form, and in soak in its long one.
 *
 *   before ──► killed ──────────────► back ──► everything that was kept has arrived
 *    load       load, and accounts     load
 */

import assert from 'node:assert/strict';
import { Agent } from 'node:http';
import type { TestContext } from 'node:test';
import { systemClock } from '../../../src/base/clock.ts';
import { systemWakeUps } from '../../../src/base/deadlines.ts';
import { OtlpSink, type SinkSpan } from '../../telemetry/otlp-sink.ts';
import { get, getUntil } from '../sidecar-process.ts';
import { attributeIn, startPair, startServer, type TracedPair } from './traced-pair.ts';

export interface OutageOptions {
  /** Requests before it, while it lasts, and after it. */
  readonly requests: readonly [before: number, during: number, after: number];
  /** Between two requests of one of the callers, at least. */
  readonly paceMs: number;
  /** Spans that may wait: fewer than the outage makes, more than it makes errors. */
  readonly queueMax: number;
}

export interface OutageReport {
  readonly accounts: Accounts;
  /** Of each phase: milliseconds of the request that 99 of 100 were faster than. */
  readonly p99: readonly number[];
  /** Memory of the process in MiB after each phase. */
  readonly memoryMiB: readonly number[];
  /** Spans that went wrong, and those of them that arrived. */
  readonly errors: { readonly made: number; readonly arrived: number };
}

interface Accounts {
  readonly started: number;
  readonly sent: number;
  readonly dropped: number;
  readonly queued: number;
  readonly queueFull: number;
}

interface State {
  readonly spans: Accounts;
  readonly memory: { readonly rssBytes: number };
}

const callers = 8;
/** One in so many requests is answered 500. */
const errorEvery = 25;

/** Runs the phases; the accounts must hold whenever they are looked at, and no request may notice. */
export async function runOutage(t: TestContext, options: OutageOptions): Promise<OutageReport> {
  const origin = await startServer(t, (asked, response) => {
    const number = Number(asked.url?.slice(1));
    response.writeHead(number % errorEvery === 0 ? 500 : 200, { 'content-length': 2 }).end('ok');
  });
  const pair = await startPair(t, {
    services: { origin: [origin] },
    environment: {
      OTEL_TRACES_SAMPLER: 'always_on',
      OTEL_BSP_MAX_QUEUE_SIZE: String(options.queueMax),
      OTEL_BSP_MAX_EXPORT_BATCH_SIZE: '64',
    },
  });
  const port = Number(new URL(pair.sink.url).port);
  const load = new Load(pair, options.paceMs);
  const [before, during, after] = options.requests;
  const p99 = [await load.send(before)];
  const memoryMiB = [await memoryOf(pair)];
  await pair.sink.idle();
  await pair.sink.close();
  p99.push(await load.send(during));
  memoryMiB.push(await memoryOf(pair));
  const away = await accountsOf(pair);
  assert.ok(away.queued <= options.queueMax + 64 && away.dropped > 0, JSON.stringify(away));
  const back = await OtlpSink.start(port);
  t.after(() => back.close());
  p99.push(await load.send(after));
  const { spans: accounts } = await getUntil<State>(
    pair.sidecar.admin,
    '/stats',
    ({ spans }) => spans.queued === 0,
  );
  memoryMiB.push(await memoryOf(pair));
  check(accounts);
  assert.equal(accounts.started, load.sent * 2, 'a SERVER and a CLIENT span of each request');
  const arrived = new Map([...pair.sink.spans, ...back.spans].map((span) => [span.spanId, span]));
  assert.equal(arrived.size, accounts.sent, 'what is counted as sent has arrived, once');
  const errors = [...arrived.values()].filter(isError).length;
  const made = Math.ceil(load.sent / errorEvery) * 2;
  return { accounts, p99, memoryMiB, errors: { made, arrived: errors } };
}

function isError(span: SinkSpan): boolean {
  return attributeIn(span, 'http.response.status_code') === 500;
}

function check(accounts: Accounts): void {
  const { started, sent, dropped, queued, queueFull } = accounts;
  assert.equal(sent + dropped + queued, started, JSON.stringify(accounts));
  assert.equal(dropped, queueFull, 'nothing is lost but what a full queue could not keep');
}

async function memoryOf(pair: TracedPair): Promise<number> {
  const { memory } = JSON.parse((await get(pair.sidecar.admin, '/stats')).body) as State;
  return Math.round(memory.rssBytes / 2 ** 20);
}

async function accountsOf(pair: TracedPair): Promise<Accounts> {
  const { spans } = JSON.parse((await get(pair.sidecar.admin, '/stats')).body) as State;
  check(spans);
  return spans;
}

/** Callers that ask one after the other, and look at the accounts now and then. */
class Load {
  sent = 0;
  readonly #pair: TracedPair;
  readonly #paceMs: number;
  readonly #agent = new Agent({ keepAlive: true });

  constructor(pair: TracedPair, paceMs: number) {
    this.#pair = pair;
    this.#paceMs = paceMs;
  }

  /** Sends `count` requests; the p99 of their times. */
  async send(count: number): Promise<number> {
    const times: number[] = [];
    const until = this.sent + count;
    const caller = async () => {
      while (this.sent < until) {
        const number = this.sent++;
        const begin = systemClock.now();
        const { status } = await get(`127.0.0.1:${this.#pair.inbound}`, `/${number}`, this.#agent);
        times.push(systemClock.now() - begin);
        assert.equal(status, number % errorEvery === 0 ? 500 : 200);
        if (number % 100 === 0) await accountsOf(this.#pair);
        await new Promise<void>((resolve) => void systemWakeUps.after(this.#paceMs, resolve));
      }
    };
    await Promise.all(Array.from({ length: callers }, caller));
    return times.toSorted((left, right) => left - right)[Math.floor(times.length * 0.99)]!;
  }
}
