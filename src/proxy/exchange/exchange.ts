/**
 * The exchange: one request with its response, from the end of the head to the last byte.
 *
 *                 ┌── connect failed: another endpoint, once ──┐
 *   Idle ─► Connecting ─► AwaitingHead ─► Relaying ─► Idle     │     fail() from anywhere ─► Idle
 *     └────── an idle connection ──┘ │ └── closed before any byte, idempotent: a fresh one, once ──┘
 *                                    └── 101 ─► Idle for good: a tunnel has both connections
 *
 * One object serves many exchanges, one after the other: those of a connection, as long as more comes,
 * then those of another one. It keeps the route that it began with and ends every exchange, good or
 * bad, in exchange-end.ts: one record, one count.
 */

import { assert } from '../../base/assert.ts';
import type { Milliseconds } from '../../base/clock.ts';
import { type Failure, failure } from '../../model/failure.ts';
import type { ConnectionCounts } from '../../telemetry/metrics/metrics.ts';
import { HeadReader } from '../../wire/http1/head-reader.ts';
import { MessageHead } from '../../wire/http1/message-head.ts';
import { Method } from '../../wire/http1/method.ts';
import { passesUpgrade } from '../../wire/http1/print.ts';
import { chooseRoute, detailOf, faultOf, RouteChoice } from '../plan/exchange-route.ts';
import { applyEdits, type CompiledEdits } from '../plan/header-edits.ts';
import type { ListenerPlan } from '../plan/plan.ts';
import type { ProxyScope } from '../scope/proxy-scope.ts';
import type { WriteSlab } from '../socket/write-slab.ts';
import { TraceHeaders } from '../trace/trace-headers.ts';
import { UpstreamState, type UpstreamUser } from '../upstream/upstream-connection.ts';
import { clientAddressOf, forwardClient, isHttps } from './client-address.ts';
import { settleClientCert } from './client-cert-header.ts';
import type { DownstreamConnection } from './downstream-connection.ts';
import { Attempts } from './exchange-attempts.ts';
import { ExchangeClock } from './exchange-clock.ts';
import { ExchangeEnd } from './exchange-end.ts';
import { ExchangeReport } from './exchange-report.ts';
import { putForwardedHead } from './forwarded-head.ts';
import { httpsUrl } from './https-url.ts';
import { printRefusal } from './local-reply.ts';
import { type HeadSource, RequestRelay, RequestState } from './request-relay.ts';
import { ResponseRelay } from './response-relay.ts';
import { AttemptStage, lossOf } from './retry-rule.ts';
import { UpstreamLease } from './upstream-lease.ts';
import { withheldTrailers } from './withheld-trailers.ts';

export const ExchangeState = { Idle: 0, Connecting: 1, AwaitingHead: 2, Relaying: 3 } as const;

const FIRST_ERROR_STATUS = 400;

export class Exchange implements UpstreamUser, HeadSource {
  readonly writesRequests = true;
  /** Of the request that is read or under way. */
  readonly head = new MessageHead();
  readonly headReader: HeadReader;
  readonly request: RequestRelay;
  readonly response: ResponseRelay;
  state: number = ExchangeState.Idle;
  /** Decided with the final head: the downstream connection carries on after this exchange. */
  keepsAlive = false;
  /** The downstream has said all, and the upstream is told so: it carries no other request. */
  endsUpstream = false;
  readonly ending: ExchangeEnd;
  readonly #scope: ProxyScope;
  readonly #counts: ConnectionCounts;
  readonly #lease: UpstreamLease;
  readonly #attempts: Attempts;
  readonly #report: ExchangeReport;
  readonly #trace: TraceHeaders;
  readonly #route = new RouteChoice();
  readonly #clock: ExchangeClock;
  #downstream: DownstreamConnection | undefined = undefined;

  /** For listeners of the direction of `plan`'s. */
  constructor(scope: ProxyScope, plan: ListenerPlan) {
    this.headReader = new HeadReader(this.head, 'request', scope.limits);
    this.#scope = scope;
    const { direction } = plan.listener;
    const isInbound = direction === 'inbound';
    this.#counts = scope.countsOf(direction);
    this.#lease = new UpstreamLease(scope, this.#counts, this, isInbound);
    this.#attempts = new Attempts(scope, this.#lease);
    this.#report = new ExchangeReport(scope, isInbound, plan.series);
    this.ending = new ExchangeEnd(scope, this, this.#counts, this.#lease, this.#report);
    this.#trace = new TraceHeaders(scope, direction);
    this.request = new RequestRelay(scope, this);
    this.response = new ResponseRelay(scope, this);
    this.#clock = new ExchangeClock(scope.limits, this.request, this.response);
  }

  /** Whose requests it serves. */
  get downstream(): DownstreamConnection {
    return this.#downstream!;
  }

  /** Something is kept in it for this downstream alone. */
  get isBound(): boolean {
    return this.#lease.hasOwn;
  }

  /** The downstream takes it that another request may follow this one. */
  get expectsMore(): boolean {
    return this.head.persistent && !this.downstream.hasPeerEnded;
  }

  /** Requests of `downstream` follow. */
  attach(downstream: DownstreamConnection): void {
    this.#downstream = downstream;
    this.headReader.isLenient = downstream.owner.isCaptured;
    this.headReader.takesHttps = downstream.owner.isEntrance === true;
  }

  /** None of them is read or under way: what is left of the last one is let go. */
  detach(): void {
    assert(
      this.state === ExchangeState.Idle && !this.isBound,
      'only an idle exchange is given back',
    );
    this.#downstream = undefined;
    this.head.text = '';
    this.headReader.reset();
    // What waits for another connection keeps no table of another time alive.
    this.#route.clear();
    this.#lease.begin();
    this.#lease.letGo();
  }

  /** Bytes of the connection belong to this exchange's request body. */
  get isTakingBody(): boolean {
    const { state } = this.request;
    return state === RequestState.Reading || state === RequestState.Stopped;
  }

  /** No rule is about it: both messages go on as they were sent. */
  get isAsSent(): boolean {
    return this.#route.isAsSent;
  }

  /** The upstream has been asked to switch protocols, so 101 may be its answer. */
  get offersSwitch(): boolean {
    const { head } = this;
    return head.hasUpgrade && (this.#route.isAsSent || passesUpgrade(head));
  }

  /** Whom it answers is not in the mesh. */
  get isOutside(): boolean {
    return this.downstream.owner.isEntrance === true;
  }

  get responseEdits(): CompiledEdits {
    return this.#route.backend!.responseEdits;
  }

  /**
   * Begins with the head that the connection has just read. The body may begin at `chunk[from]`;
   * returns the index of the first byte beyond it.
   */
  begin(
    plan: ListenerPlan,
    chunk: Buffer,
    from: number,
    startMs: Milliseconds,
    now: Milliseconds,
  ): number {
    const { head } = this;
    this.#start(plan, startMs, now);
    this.request.begin(head, now);
    this.#trace.read(head, this.downstream);
    this.#report.setRequest(head, this.downstream);
    const { entrance } = plan;
    if (entrance !== undefined) this.#arrive(head, plan);
    this.#report.beginSpan(this.#trace, this.downstream);
    const record = this.#report.requestRecord;
    this.#trace.begun(head, record);
    // Before policies look: what a caller says of certificates and of itself is nobody's proof.
    const clientLines = this.#settleClient(plan);
    const denied = plan.guard?.onRequest(head, this.downstream, record);
    if (denied !== undefined) this.#report.unmute(this.#trace, this.downstream);
    else if (entrance?.redirects(head) === true && !this.#isHttps()) {
      const keeps = this.request.state === RequestState.Done && this.#mayKeep();
      this.ending.redirect(httpsUrl(head, entrance.httpsPort), keeps, now);
      return from;
    }
    const refused = denied ?? this.#chooseRoute(plan, now);
    if (refused !== undefined) {
      this.#failRoute(refused, head, plan.guard?.detail ?? '', now);
      return from;
    }
    if (this.#route.isAsSent) this.request.passAsSent();
    else applyEdits(this.#route.backend!.requestEdits, head);
    const withheld = withheldTrailers(plan, this.#scope);
    if (withheld !== undefined) this.request.withholdTrailers(withheld);
    this.#route.clientLines = clientLines;
    this.#attempt(false, now);
    if (this.state === ExchangeState.Idle) return from;
    const position = this.takeRequestBody(chunk, from, now);
    if (this.state !== ExchangeState.Idle) this.#begun(now);
    return position;
  }

  /**
   * A head that was refused or did not come in time, or a whole one by which nobody is let in: a record and
   * an end like every other's.
   */
  refuse(plan: ListenerPlan, what: Failure, detail: string, startMs: Milliseconds): void {
    const now = this.#scope.clock.now();
    this.#start(plan, startMs, now);
    const isWhole = what === failure['no-identity'];
    // Its caller has a trace of it, as of a call that a policy denies.
    if (isWhole) this.#trace.read(this.head, this.downstream);
    else this.#trace.clear();
    const known = isWhole || this.headReader.hasStartLine ? this.head : undefined;
    this.#report.setRefused(known, this.downstream);
    if (what === failure['not-implemented']) this.#report.setMethod(this.head);
    if (isWhole) {
      const { inboundModes, telemetry } = this.#scope;
      inboundModes.note(this.downstream.owner.port, this.#report.record, telemetry.names);
    }
    if (plan.entrance !== undefined) this.#arrive(known, plan);
    this.#report.beginSpan(this.#trace, this.downstream);
    if (isWhole) {
      this.#report.unmute(this.#trace, this.downstream);
      this.#trace.begun(this.head, this.#report.record);
    }
    this.ending.reply(what, detail, false, isWhole && this.head.method === Method.Head, now);
  }

  /** At a Gateway; `head`: as far as it could be read. */
  #arrive(head: MessageHead | undefined, plan: ListenerPlan): void {
    const { downstream } = this;
    const { trustedHops } = this.#scope.outside;
    const client =
      head === undefined ? downstream.peerAddress : clientAddressOf(head, downstream, trustedHops);
    this.#report.arrive(head, downstream, this.#trace, plan, client);
  }

  /** Body bytes of the request; returns the index of the first byte beyond the body. */
  takeRequestBody(chunk: Buffer, from: number, now: Milliseconds): number {
    const { request } = this;
    this.#clock.onActivity(now);
    const position = request.feed(chunk, from, now);
    if (position < 0) {
      const { refusal } = request;
      this.fail(failure[refusal.cause], printRefusal(refusal));
      return chunk.length;
    }
    request.flush();
    if (request.state === RequestState.Done) this.#report.requestSent(now);
    return position;
  }

  /**
   * The final head has been read: decides what becomes of the downstream connection, and returns the
   * lines that `onAnswer` adds. `isFramed`: its end can be told without closing.
   */
  onFinalHead(head: MessageHead, isFramed: boolean, now: Milliseconds): string {
    this.#move(ExchangeState.AwaitingHead, ExchangeState.Relaying);
    const isEarly = this.request.state !== RequestState.Done;
    // A success before the end of the body may be a stream both ways; an error wants no more of it.
    const isUnwanted = isEarly && head.status >= FIRST_ERROR_STATUS;
    if (isUnwanted) this.request.stop();
    const isKept = head.persistent || !this.#route.isAsSent;
    this.keepsAlive = !isUnwanted && isFramed && isKept && this.#mayKeep();
    return this.onAnswer(head, now);
  }

  /** The whole response came with its head: where the request has not, the connection ends, and is told to. */
  onWholeAtOnce(): void {
    if (this.request.state !== RequestState.Done) this.keepsAlive = false;
  }

  /**
   * A final head, or 101, is about to go on: what its sidecar and ours say of the trace. Returns lines to
   * add, in place of fields that had more to say.
   */
  onAnswer(head: MessageHead, now: Milliseconds): string {
    const lines = this.#report.hear(head, this.#lease.pool!, this.#route.isAsSent, now);
    this.#report.answering(head.status, now);
    return lines;
  }

  /** The downstream is told whether the trace is kept: its sidecar, or whoever asks at the edge. */
  get tellsVerdict(): boolean {
    return this.#report.tellsVerdict;
  }

  /** Puts what it is told, as a line of the head. */
  putVerdict(out: WriteSlab): void {
    this.#report.putVerdict(out);
  }

  /** The final head is on its way, more of the body is to come. */
  onHeadWritten(now: Milliseconds): void {
    this.#report.responded(this.#lease.upstream!.head, now, this.#scope.clock.now());
  }

  /** The downstream connection is over. */
  onConnectionOver(): void {
    this.#lease.letGo();
  }

  /** Something went wrong: another attempt where that is safe, else the end of the exchange. */
  fail(what: Failure, detail: string): void {
    assert(this.state !== ExchangeState.Idle, 'only an exchange under way can fail');
    const now = this.#scope.clock.now();
    if (this.#mayRetry(what, now)) {
      this.#retry(what, detail, now);
      return;
    }
    const keeps = this.request.state === RequestState.Done && this.#mayKeep();
    this.ending.fail(what, detail, keeps, now);
  }

  /** 101 is on its way; see ExchangeEnd. */
  switchProtocols(chunk: Buffer, from: number, now: Milliseconds): void {
    this.#move(ExchangeState.AwaitingHead, ExchangeState.Relaying);
    this.ending.switchProtocols(chunk, from, now);
  }

  onDownstreamGone(): void {
    if (this.state !== ExchangeState.Idle) this.ending.leave();
  }

  /** FIN of the downstream behind its last request; an upstream that gets all as sent gets it too. */
  onDownstreamEnded(): void {
    if (!this.#route.isAsSent || this.request.state !== RequestState.Done) return;
    this.endsUpstream = true;
    if (this.state !== ExchangeState.Connecting) this.#lease.upstream?.socket.end();
  }

  /** The connection reads again: what came late until now was not the downstream's fault. */
  onReadsResumed(): void {
    const now = this.#scope.clock.now();
    this.request.onResumed(now);
    this.arm();
  }

  /** The upstream wants the body. */
  onContinue(now: Milliseconds): void {
    this.request.onContinue(now);
    this.arm();
  }

  onDownstreamDrained(): void {
    this.#clock.onActivity(this.#scope.clock.now());
    if (this.state === ExchangeState.Relaying) this.#lease.upstream?.socket.resume();
  }

  onUpstreamConnected(): void {
    const now = this.#scope.clock.now();
    const upstream = this.#lease.upstream!;
    this.#lease.connected();
    this.#move(ExchangeState.Connecting, ExchangeState.AwaitingHead);
    this.#clock.onActivity(now);
    this.request.connect(upstream);
    this.request.flush();
    if (this.state === ExchangeState.Idle) return;
    if (this.endsUpstream) upstream.socket.end();
    const sent = this.#scope.clock.now();
    this.#report.connected(upstream, now, sent);
    if (this.request.state === RequestState.Done) this.#report.requestSent(sent);
    this.downstream.updateReads();
  }

  onUpstreamBytes(chunk: Buffer): void {
    const now = this.#scope.clock.now();
    const upstream = this.#lease.upstream!;
    this.#clock.onActivity(now);
    if (this.state === ExchangeState.AwaitingHead) this.response.takeHead(upstream, chunk, now);
    else this.response.takeBody(upstream, chunk, 0, now);
  }

  onUpstreamDrained(): void {
    this.#clock.onActivity(this.#scope.clock.now());
    this.downstream.updateReads();
  }

  onUpstreamEnded(): void {
    if (this.state === ExchangeState.Relaying) {
      this.response.takeEnd(this.#lease.upstream!, this.#scope.clock.now());
    } else {
      this.onUpstreamLost('');
    }
  }

  onUpstreamLost(code: string): void {
    const { upstream, where } = this.#lease;
    const isHeadRead = this.state === ExchangeState.Relaying;
    const what = lossOf(code, this.#stage(), isHeadRead, upstream!.isReused);
    const why = upstream!.problemText || code;
    const stranger = upstream!.handshake?.problem?.stranger;
    if (stranger !== undefined) this.#report.setStranger(stranger.expected, stranger.proved);
    this.fail(what, why === '' ? where : `${why}, ${where}`);
  }

  onConnectTimeout(): void {
    const late = failure['connect-timeout'];
    const now = this.#scope.clock.now();
    if (this.#mayRetry(late, now)) this.#retry(late, this.#lease.where, now);
    else if (!this.#lease.waitOn()) this.fail(late, this.#lease.where);
  }

  /** Asks to be called at the next moment when something may be late. */
  arm(): void {
    const at = this.#clock.next(this.#isBodyAwaited());
    this.#scope.deadlines.set(this.downstream.deadline, at);
  }

  onDeadline(now: Milliseconds): void {
    const late = this.#clock.late(now, this.#isBodyAwaited());
    if (late === undefined) this.arm();
    else if (late.side === 'upstream') this.fail(late, this.#lease.where);
    else this.fail(late, `after ${this.request.bytes} bytes`);
  }

  /** Ends exchange and connection at once. */
  destroy(): void {
    this.downstream.destroy();
  }

  /** A bug of ours was met: answers 500 if nothing was answered, and ends the connection too. */
  endByBug(): void {
    if (this.state === ExchangeState.Idle) this.downstream.endByBug();
    else this.ending.fail(failure['internal-error'], '', false, this.#scope.clock.now());
  }

  /** Nothing can be tied to its request any more. */
  endTrace(): void {
    this.#trace.end();
  }

  /** The head that goes to the endpoint of this attempt; it has been read until the next one is. */
  putRequestHead(out: WriteSlab): void {
    putForwardedHead(this.head, this.#route, this.#lease, this.#trace, this.#report.record, out);
  }

  /** The downstream could send now, and nobody but it is waited for. */
  #isBodyAwaited(): boolean {
    // With a response under way it is a stream both ways: only silence on both is too long.
    return !this.downstream.isPaused && this.state !== ExchangeState.Relaying;
  }

  #start(plan: ListenerPlan, startMs: Milliseconds, now: Milliseconds): void {
    assert(this.state === ExchangeState.Idle, 'one exchange at a time on a connection');
    this.state = ExchangeState.Connecting;
    this.#counts.exchangesActive++;
    this.endsUpstream = false;
    this.#clock.begin(now);
    this.#route.clear();
    this.#attempts.begin();
    this.response.begin();
    this.#report.begin(startMs, now, plan);
  }

  /** Takes out what the caller may not say of the client; returns the lines that are true of it. */
  #settleClient({ entrance, listener }: ListenerPlan): string {
    const { head, downstream } = this;
    if (entrance !== undefined) {
      const { certificate = '' } = downstream.owner;
      return forwardClient(head, downstream, this.#scope.outside.trustedHops, certificate);
    }
    if (this.#scope.mesh === undefined || listener.direction !== 'inbound') return '';
    return settleClientCert(head, downstream, this.#scope.limits);
  }

  /** How the client of a Gateway has called. */
  #isHttps(): boolean {
    return isHttps(this.head, this.downstream, this.#scope.outside.trustedHops);
  }

  #chooseRoute(plan: ListenerPlan, now: Milliseconds): Failure | undefined {
    const route = this.#route;
    const { head } = this;
    const { owner } = this.downstream;
    if (plan.entrance?.isElsewhere(head, this.#isHttps())) return failure.misdirected;
    const refused = chooseRoute(plan, head, owner, this.#trace.isLoop, route);
    if (route.rule !== undefined) this.#report.setRule(route.rule);
    if (route.backend !== undefined) this.#report.setBackend(route.backend);
    if (refused !== undefined) return refused;
    route.isPathSettled = plan.guard?.authorizer.looksAtRequests === true;
    this.#clock.setRouteTimeout(now, route.timeoutMs);
    this.#scope.retryBudget.onRequest();
    return undefined;
  }

  /** Nothing is said to any upstream. A head that is at fault ends its connection. */
  #failRoute(what: Failure, head: MessageHead, detail: string, now: Milliseconds): void {
    const fault = faultOf(head);
    if (what === failure[fault.cause]) this.ending.fail(what, printRefusal(fault), false, now);
    else this.fail(what, detail || detailOf(what, head, this.downstream.owner));
  }

  /** Gets a connection for this attempt; `isFresh` takes no idle one. */
  #attempt(isFresh: boolean, now: Milliseconds): void {
    const lease = this.#lease;
    const { backend, pinned } = this.#route;
    const refused = this.#attempts.acquire(backend!.cluster, isFresh, pinned);
    if (lease.pool !== undefined) this.#report.setEndpoint(lease.pool);
    if (refused !== undefined) {
      this.fail(refused, lease.detail);
      return;
    }
    const upstream = lease.upstream!;
    if (upstream.state === UpstreamState.Connecting) {
      this.#report.dialling(now, this.#scope.clock.now());
      return;
    }
    this.#move(ExchangeState.Connecting, ExchangeState.AwaitingHead);
    this.request.connect(upstream);
  }

  /** After the first pass: times of a leased connection, and the first deadline. */
  #begun(now: Milliseconds): void {
    if (this.state !== ExchangeState.Connecting) {
      const sent = this.#scope.clock.now();
      this.#report.leased(this.#lease.upstream!, now, sent);
      if (this.request.state === RequestState.Done) this.#report.requestSent(sent);
    }
    this.arm();
  }

  #mayRetry(what: Failure, now: Milliseconds): boolean {
    const stage = this.#stage();
    // A server that ends when its caller has said all would do so again.
    if (this.endsUpstream && stage !== AttemptStage.Connecting) return false;
    const { backend, pinned } = this.#route;
    const endpoints = pinned === undefined ? (backend?.cluster.pools.length ?? 0) : 1;
    return this.#attempts.mayRepeat(what, this.head, stage, endpoints, now);
  }

  #stage(): number {
    if (this.state === ExchangeState.Connecting) return AttemptStage.Connecting;
    return this.response.firstByteMs < 0 ? AttemptStage.Sent : AttemptStage.Answering;
  }

  #retry(what: Failure, detail: string, now: Milliseconds): void {
    this.#attempts.giveUp();
    this.request.disconnect();
    this.state = ExchangeState.Connecting;
    this.#report.retry(what, detail, now, this.#trace);
    this.#attempt(true, now);
  }

  #mayKeep(): boolean {
    return this.head.persistent && this.downstream.mayKeep();
  }

  #move(from: number, to: number): void {
    assert(this.state === from, `exchange: state ${this.state}, not ${from}`);
    this.state = to;
  }
}
