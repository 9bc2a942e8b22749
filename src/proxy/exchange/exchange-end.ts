/**
 * The end of an exchange: answered, failed, cut, or given to a tunnel; one record and one count each.
 *
 *   complete ──────────────── the response is whole
 *   switchProtocols ───────── 101 is on its way
 *   fail ──┬─ reply ───────── nothing was answered yet: our own answer, with the cause
 *          ├─ endSilently ─── the downstream hears FIN and takes it for the upstream's
 *          └─ RST             in the middle of a response
 *   leave ─────────────────── the downstream has gone
 *
 * Whatever happens, `finish` comes last and once. It decides nothing about attempts: that is the
 * exchange's.
 */

import { assert } from '../../base/assert.ts';
import type { Milliseconds } from '../../base/clock.ts';
import { type Failure, failure } from '../../model/failure.ts';
import type { ConnectionCounts } from '../../telemetry/metrics/metrics.ts';
import { RecordFlag } from '../../telemetry/record/exchange-record.ts';
import { Method } from '../../wire/http1/method.ts';
import { printLocalReply } from '../../wire/http1/print.ts';
import type { ProxyScope } from '../scope/proxy-scope.ts';
import { type Exchange, ExchangeState } from './exchange.ts';
import type { ExchangeReport } from './exchange-report.ts';
import { isToldOutside, printFailure } from './local-reply.ts';
import { isLoginOfConnection } from './login-of-connection.ts';
import { RequestState } from './request-relay.ts';
import { isEndOfKept } from './retry-rule.ts';
import type { UpstreamLease } from './upstream-lease.ts';

const MOVED_PERMANENTLY = 301;

export class ExchangeEnd {
  readonly #scope: ProxyScope;
  readonly #exchange: Exchange;
  readonly #counts: ConnectionCounts;
  readonly #lease: UpstreamLease;
  readonly #report: ExchangeReport;

  constructor(
    scope: ProxyScope,
    exchange: Exchange,
    counts: ConnectionCounts,
    lease: UpstreamLease,
    report: ExchangeReport,
  ) {
    this.#scope = scope;
    this.#exchange = exchange;
    this.#counts = counts;
    this.#lease = lease;
    this.#report = report;
  }

  /** The response is whole. `leavesNoDoubt`: the upstream connection may carry another request. */
  complete(leavesNoDoubt: boolean, now: Milliseconds): void {
    const lease = this.#lease;
    const exchange = this.#exchange;
    const upstream = lease.upstream!;
    const isWhole = exchange.request.state === RequestState.Done;
    // Who answers what has not gone yet may take the rest of it for another request.
    const isSent = isWhole && upstream.socket.writableLength === 0;
    if (leavesNoDoubt && isSent && this.#mayLendAgain()) {
      if (exchange.isAsSent) exchange.downstream.pairWith(upstream);
      if (lease.isOwn || isLoginOfConnection(exchange.head)) lease.keep(now);
      else lease.release(now);
    } else lease.destroy(!isWhole);
    const keeps = exchange.keepsAlive && isWhole;
    const end = this.#scope.clock.now();
    this.#report.responded(upstream.head, now, end);
    this.#finish(end);
    exchange.downstream.onExchangeDone(keeps, end);
  }

  /** 101 is on its way: from here on a tunnel has both connections. It begins with `chunk[from..]`. */
  switchProtocols(chunk: Buffer, from: number, now: Milliseconds): void {
    const exchange = this.#exchange;
    const end = this.#scope.clock.now();
    const { pool } = this.#lease;
    const upstream = this.#lease.detach();
    this.#report.responded(upstream.head, now, end);
    this.#finish(end);
    exchange.downstream.giveUp(upstream, pool!, this.#report.record, chunk, from);
  }

  /** Says what went wrong: in an answer if none has begun, else by RST. */
  fail(what: Failure, detail: string, keeps: boolean, now: Milliseconds): void {
    this.#lease.destroy(true);
    const { head, response, downstream, isAsSent } = this.#exchange;
    const isUnheard = downstream.requests > 1 && response.firstByteMs < 0;
    if (isAsSent && isUnheard && isEndOfKept(what)) {
      this.#report.failed(what, 0, detail);
      this.endSilently(now);
      return;
    }
    if (!response.isHeadSent) {
      this.reply(what, detail, keeps, head.method === Method.Head, now);
      return;
    }
    this.#report.failed(what, RecordFlag.BodyCut, detail);
    this.#finish(now);
    downstream.abort();
  }

  /** The upstream has ended in the middle of a body that goes on as it was sent, and so does it here. */
  cut(): void {
    this.#report.failed(failure['upstream-cut'], RecordFlag.BodyCut, this.#lease.where);
    this.endSilently(this.#scope.clock.now());
  }

  /** FIN is all that the downstream hears. */
  endSilently(now: Milliseconds): void {
    this.#lease.destroy(false);
    this.#finish(now);
    this.#exchange.downstream.onExchangeDone(false, now);
  }

  /** Our own answer. */
  reply(what: Failure, detail: string, keeps: boolean, isHead: boolean, now: Milliseconds): void {
    const { downstream } = this.#exchange;
    const report = this.#report;
    const end = this.#scope.clock.now();
    report.failed(what, 0, detail);
    report.replied(what.httpStatus, now, end);
    // Outside a mesh nobody is told the names and addresses that are inside it.
    const isTold = downstream.owner.isEntrance !== true || isToldOutside(what);
    const told = isTold ? detail : '';
    const text = printFailure(what, told, keeps, isHead, report.verdictLine);
    downstream.socket.write(text, 'latin1');
    this.#finish(end);
    downstream.onExchangeDone(keeps, end);
  }

  /** Nobody is asked: the downstream is told to come to `url` from now on. */
  redirect(url: string, keeps: boolean, now: Milliseconds): void {
    const { downstream } = this.#exchange;
    const report = this.#report;
    const end = this.#scope.clock.now();
    report.redirected(MOVED_PERMANENTLY, now, end);
    const headers: [string, string][] = [['location', url]];
    if (!keeps) headers.push(['connection', 'close']);
    downstream.socket.write(printLocalReply(MOVED_PERMANENTLY, headers, ''), 'latin1');
    this.#finish(end);
    downstream.onExchangeDone(keeps, end);
  }

  /** The downstream has gone: the upstream is told by RST, at once. */
  leave(): void {
    const isCut = this.#exchange.request.state !== RequestState.Done;
    const flags = RecordFlag.DownstreamGone | (isCut ? RecordFlag.BodyCut : 0);
    this.#report.failed(failure['client-gone'], flags, '');
    this.#lease.destroy(true);
    this.#finish(this.#scope.clock.now());
  }

  #finish(now: Milliseconds): void {
    assert(this.#lease.upstream === undefined, 'the lease is given back before the exchange ends');
    const { request, response } = this.#exchange;
    this.#exchange.state = ExchangeState.Idle;
    this.#counts.exchangesActive--;
    this.#report.finish(now, response.firstByteMs, request.bytes, response.bytes);
    this.#exchange.endTrace();
    request.end();
  }

  /** As sent, `Connection: close` of the downstream has been read by the upstream too. */
  #mayLendAgain(): boolean {
    const exchange = this.#exchange;
    if (!exchange.isAsSent) return true;
    return exchange.head.persistent && !exchange.endsUpstream;
  }
}
