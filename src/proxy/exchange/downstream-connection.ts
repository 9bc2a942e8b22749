/**
 * One accepted connection: reads request heads one after another and gives each to its exchange.
 *
 *   Idle ──head──► Busy ──answered──► Idle      Idle, Busy ──► Closing ──FIN or lingered──► Closed
 *                    └──101──► Switched: a tunnel has the socket, and what is read goes to it
 *
 * One exchange at a time; what a peer sends beyond it is held, at most `heldBytesMax`, then reading
 * stops. One deadline serves whatever is awaited. A closing connection has said all it has to say:
 * it sends FIN and throws away what still comes, so that the peer can read the answer (RFC 9112
 * 9.6).
 */

import type { Socket } from 'node:net';
import { TLSSocket } from 'node:tls';
import { assert } from '../../base/assert.ts';
import type { Milliseconds } from '../../base/clock.ts';
import { Deadline, type DeadlineOwner } from '../../base/deadlines.ts';
import { failure } from '../../model/failure.ts';
import type { Caller } from '../../policy/caller.ts';
import type { ConnectionCounts } from '../../telemetry/metrics/metrics.ts';
import type { ExchangeRecord } from '../../telemetry/record/exchange-record.ts';
import { BodyKind } from '../../wire/http1/body-kind.ts';
import { HeadState } from '../../wire/http1/head-reader.ts';
import { Method } from '../../wire/http1/method.ts';
import { type MeshLife, type MeshLived, meshLifeOf } from '../mesh/mesh-life.ts';
import { type MeshPeer, meshPeerOf, writesRequests } from '../mesh/mesh-peer.ts';
import type { DenialPrinter, RouteAsker } from '../plan/exchange-route.ts';
import type { ListenerPlan } from '../plan/plan.ts';
import type { Endable, ProxyScope } from '../scope/proxy-scope.ts';
import { ByteHold } from '../socket/byte-hold.ts';
import { plainAddress } from '../socket/print-address.ts';
import {
  adoptSocket,
  type ByteTaker,
  type ReadSocket,
  resetSocket,
} from '../socket/socket-reads.ts';
import { type TlsFacts, tlsFactsOf } from '../tls/tls-server.ts';
import type { EndpointPool } from '../upstream/endpoint-pool.ts';
import {
  type LastUser,
  type UpstreamConnection,
  UpstreamState,
} from '../upstream/upstream-connection.ts';
import { clientCertLineOf, clientCertOf } from './client-cert-header.ts';
import { type Exchange, ExchangeState } from './exchange.ts';
import type { ExchangePool } from './exchange-pool.ts';
import { isKeepRequest, printKeepAnswer, takeKeepRequest } from './keep-request.ts';
import { printRefusal } from './local-reply.ts';
import { UpgradedConnection } from './upgrade-switch.ts';

const DownstreamState = { Idle: 0, Busy: 1, Closing: 2, Closed: 3, Switched: 4 } as const;

/** What a connection asks of the listener that accepted it. */
export interface ConnectionOwner extends RouteAsker, DenialPrinter {
  /** The plan for the next request. */
  readonly plan: ListenerPlan;
  /** Where the downstream connected to, or meant to. */
  readonly port: number;
  /** The same; undefined: to the socket's own address. */
  readonly destination?: { readonly address: string };
  /** No longer accepting: the connection closes after the answer it owes. */
  readonly isRetired: boolean;
  /** What comes over it makes no spans. */
  readonly isMuted?: boolean;
  /** Where it comes from, if that is not who has connected. */
  readonly source?: { readonly address: string; readonly port: number } | undefined;
  /** It comes from outside the mesh, by a Gateway. */
  readonly isEntrance?: boolean;
  /** What a Gateway passes on of the certificate that was shown to it; '' for none. */
  readonly certificate?: string;
  /** Whom that certificate names, for spans and logs; '' for nobody. */
  readonly subject?: string;
  /** Whoever has not proved who it is by mutual TLS of the mesh is refused. */
  readonly isStrict?: boolean;
  onConnectionClosed(connection: DownstreamConnection): void;
  /** It has become a tunnel, which is the owner's from now on. */
  onSwitched(connection: DownstreamConnection, tunnel: UpgradedConnection): void;
  onTunnelClosed(tunnel: UpgradedConnection): void;
}

export class DownstreamConnection
  implements ByteTaker, DeadlineOwner, Endable, LastUser, MeshLived
{
  readonly id: number;
  readonly socket: Socket;
  /** The listener, or the captured connection that this one was. */
  readonly owner: ConnectionOwner;
  /** From the first byte of a head to the end of what it brings; none while nothing is there to do. */
  exchange: Exchange | undefined = undefined;
  readonly deadline: Deadline;
  /** Of the client, by a PROXY header where there is one. */
  readonly peerAddress: string;
  readonly peerPort: number;
  /** Of whoever has connected, whatever it says. */
  readonly socketAddress: string;
  /** TLS ends here. */
  readonly isSecure: boolean;
  readonly tls: TlsFacts | undefined;
  /** Who is there, proved by mutual TLS of the mesh; undefined: nobody knows. */
  readonly meshPeer: MeshPeer | undefined;
  /** What requests tell the application of it, and whether it may tell who was before it. */
  readonly clientCert: string;
  readonly clientCertLine: string;
  readonly passesClientCerts: boolean;
  /** How long it may go on; undefined where no TLS of the mesh ends here. */
  readonly #life: MeshLife | undefined;
  /** For those who authorise; made by the first who asks. */
  caller: Caller | undefined = undefined;
  state: number = DownstreamState.Idle;
  /** Requests begun, the present one included. */
  requests = 0;
  /** What a sidecar there says is believed; undefined until somebody has asked. */
  #isPeer: boolean | undefined = undefined;
  /** Reading has stopped until somebody has taken what is held. */
  isPaused = false;
  readonly #scope: ProxyScope;
  readonly #isInbound: boolean;
  readonly #counts: ConnectionCounts;
  readonly #exchanges: ExchangePool;
  /** Bytes of answers from which on the socket tells when it has sent them ('drain'). */
  readonly #unsentMax: number;
  /** Bytes beyond the exchange under way. */
  readonly #hold = new ByteHold();
  /** When the first byte of an unfinished head came; -1 = none has. */
  #headStartMs: Milliseconds = -1;
  #idleSinceMs: Milliseconds;
  /** Carried the last exchange, as it was sent; see `pairWith`. */
  #pair: UpstreamConnection | undefined = undefined;
  /** Has the socket once the connection has switched protocols. */
  #upgraded: UpgradedConnection | undefined = undefined;
  #isPumping = false;
  /** The peer has sent FIN: it may still read. */
  #peerEnded = false;

  /** Reading starts at once; `read` says how. */
  constructor(
    scope: ProxyScope,
    owner: ConnectionOwner,
    accepted: Socket,
    read: ReadSocket = adoptSocket,
  ) {
    this.id = scope.nextConnectionId();
    const { source } = owner;
    this.socketAddress = plainAddress(accepted.remoteAddress ?? '');
    this.peerAddress = source?.address ?? this.socketAddress;
    this.peerPort = source?.port ?? accepted.remotePort ?? 0;
    this.isSecure = accepted instanceof TLSSocket;
    this.tls = this.isSecure ? tlsFactsOf(accepted) : undefined;
    this.meshPeer = scope.mesh === undefined ? undefined : meshPeerOf(accepted);
    this.clientCert = clientCertOf(scope, this.meshPeer);
    this.clientCertLine = clientCertLineOf(this.clientCert);
    this.passesClientCerts = scope.clientCertMode === 'append' && writesRequests(accepted);
    this.#scope = scope;
    this.owner = owner;
    this.#counts = scope.countsOf(owner.plan.listener.direction);
    this.#isInbound = this.#counts === scope.inbound;
    this.#exchanges = scope.exchangesOf(owner.plan.listener.direction);
    this.deadline = new Deadline(this);
    this.#counts.downstreamOpen++;
    this.#counts.downstreamTotal++;
    const now = scope.clock.now();
    this.#idleSinceMs = now;
    scope.deadlines.set(this.deadline, now + scope.limits.headTimeoutMs);
    this.#life = meshLifeOf(scope, accepted, this);
    this.socket = read(accepted, this, scope.sockets);
    this.#unsentMax = this.socket.writableHighWaterMark;
    this.#listen();
  }

  /** What a sidecar at its other end says is believed. */
  get isPeer(): boolean {
    this.#isPeer ??= this.meshPeer !== undefined || this.#scope.peers.has(this.peerAddress);
    return this.#isPeer;
  }

  /** An exchange is under way. */
  get isBusy(): boolean {
    return this.exchange !== undefined && this.exchange.state !== ExchangeState.Idle;
  }

  /** Bytes of requests that are held: unread ones, and those that wait to be sent upstream. */
  get requestHeldBytes(): number {
    return this.#hold.length + (this.exchange?.request.heldBytes ?? 0);
  }

  /** The peer does not take its answers; `onDownstreamDrained` tells when it has. */
  get isFull(): boolean {
    return this.socket.writableLength >= this.#unsentMax;
  }

  /** It has sent FIN: nothing follows what has come. */
  get hasPeerEnded(): boolean {
    return this.#peerEnded;
  }

  /** Whether another request may follow the present one, if that allows it. */
  mayKeep(): boolean {
    if (this.#scope.isDraining || this.owner.isRetired) return false;
    if (this.#life?.isOver === true) return false;
    const isCaller = this.#isInbound || this.owner.isEntrance === true;
    if (this.#scope.isLeaving && isCaller) return false;
    return !this.#peerEnded || this.#hold.length !== 0;
  }

  onBytes(chunk: Buffer): void {
    if (this.state >= DownstreamState.Closing) {
      this.#upgraded?.tunnel.onBytes(chunk);
      return;
    }
    try {
      this.#take(chunk);
    } catch (error) {
      this.#scope.containBug(this, error);
    }
  }

  onDeadline(now: Milliseconds): void {
    try {
      if (this.state === DownstreamState.Busy) this.exchange!.onDeadline(now);
      else if (this.state === DownstreamState.Idle) this.#onIdleDeadline();
      else this.destroy();
    } catch (error) {
      this.#scope.containBug(this, error);
    }
  }

  /** The exchange has written its last byte. `keeps`: the next request may come. */
  onExchangeDone(keeps: boolean, now: Milliseconds): void {
    this.#move(DownstreamState.Busy, DownstreamState.Idle);
    if (!keeps) {
      this.#close();
      return;
    }
    this.#idleSinceMs = now;
    this.#scope.deadlines.set(this.deadline, now + this.#scope.limits.keepAliveIdleMs);
    if (!this.#isPumping) this.#goOn();
  }

  /**
   * The exchange went as it was sent over `upstream`, which the pool may lend again. As long as it does
   * not, whoever ends one of the two while nothing is under way means both: a server that serves one
   * connection at a time waits for that, and a caller sees that its kept connection is over.
   */
  pairWith(upstream: UpstreamConnection): void {
    upstream.lastUser = this;
    this.#pair = upstream;
  }

  onIdleEnded(upstream: UpstreamConnection): void {
    if (this.#pair !== upstream) return;
    this.#pair = undefined;
    const isIdle = this.state === DownstreamState.Idle && this.#headStartMs < 0;
    if (isIdle && this.#hold.length === 0) this.#close();
  }

  /**
   * 101 has been sent: the socket belongs to a tunnel from here on, whose first bytes are
   * `chunk[from..]` of the upstream and what was held of the downstream.
   */
  giveUp(
    upstream: UpstreamConnection,
    pool: EndpointPool,
    record: ExchangeRecord,
    chunk: Buffer,
    from: number,
  ): void {
    this.#move(DownstreamState.Busy, DownstreamState.Switched);
    this.#scope.deadlines.remove(this.deadline);
    this.#life?.end();
    const ends = { downstream: this, upstream, pool };
    const upgraded = new UpgradedConnection(this.#scope, this.owner, ends, record);
    this.#upgraded = upgraded;
    // The tunnel counts itself.
    this.#counts.downstreamOpen--;
    this.owner.onSwitched(this, upgraded);
    if (this.isPaused) {
      this.isPaused = false;
      this.socket.resume();
    }
    if (this.#hold.length !== 0) upgraded.tunnel.onBytes(this.#hold.view());
    this.#hold.clear();
    if (from < chunk.length) upgraded.tunnel.onUpstreamBytes(chunk.subarray(from));
    if (this.#peerEnded) upgraded.tunnel.onDownstreamEnded();
  }

  /** Reads on or stops reading, by what is held here and on the way upstream. */
  updateReads(): void {
    const isFull = this.requestHeldBytes >= this.#scope.sockets.heldBytesMax;
    if (isFull === this.isPaused || this.state >= DownstreamState.Closed) return;
    this.isPaused = isFull;
    if (isFull) {
      this.socket.pause();
      return;
    }
    this.socket.resume();
    if (this.state === DownstreamState.Busy) this.exchange!.onReadsResumed();
  }

  /** Ends by RST: the peer must not take what it has got for the whole. */
  abort(): void {
    this.#end();
    resetSocket(this.socket);
  }

  /** Ends at once, whatever is under way. */
  destroy(): void {
    if (this.state >= DownstreamState.Closed) return;
    this.#end();
    if (!this.isBusy) {
      this.socket.destroy();
    } else {
      resetSocket(this.socket);
      this.exchange!.onDownstreamGone();
    }
  }

  /** A bug of ours: the exchange under way says so, if there is one; nothing follows it. */
  endByBug(): void {
    if (this.state === DownstreamState.Busy && this.isBusy) {
      this.exchange!.endByBug();
    } else if (this.#upgraded !== undefined) this.#upgraded.destroy();
    else this.destroy();
  }

  /** Draining, or the listener is gone: closes when nothing is under way and nothing has come. */
  retire(): void {
    if (this.state !== DownstreamState.Idle || this.#headStartMs >= 0) return;
    const { deadlines, limits } = this.#scope;
    deadlines.set(this.deadline, this.#idleSinceMs + limits.drainIdleMs);
  }

  /** The certificates that it was made with are over; `mayKeep` says so too. */
  onMeshEnd(): void {
    this.retire();
  }

  #listen(): void {
    const { socket } = this;
    socket.on('drain', () => this.#guard(() => this.#onDrained()));
    socket.on('end', () => this.#guard(() => this.#onPeerEnded()));
    socket.on('finish', () => {
      if (this.state !== DownstreamState.Closing) return;
      const { deadlines, clock, limits } = this.#scope;
      deadlines.set(this.deadline, clock.now() + limits.lingerMs);
    });
    // What was wrong does not matter: 'close' follows and ends the exchange.
    socket.on('error', () => undefined);
    socket.on('close', () => this.#guard(() => this.#onClosed()));
  }

  #onClosed(): void {
    this.#endPair();
    this.destroy();
  }

  #guard(call: () => void): void {
    try {
      call();
    } catch (error) {
      this.#scope.containBug(this, error);
    }
  }

  #take(chunk: Buffer): void {
    let from = 0;
    if (this.state === DownstreamState.Busy && this.exchange!.isTakingBody) {
      from = this.exchange!.takeRequestBody(chunk, 0, this.#scope.clock.now());
    }
    if (this.#hold.length === 0) from = this.#pump(chunk, from);
    if (from < chunk.length && this.state < DownstreamState.Closing) {
      this.#hold.append(chunk, from, chunk.length);
    }
    if (this.state === DownstreamState.Busy || this.#hold.length !== 0) this.updateReads();
    if (this.state === DownstreamState.Idle) this.#putExchangeAway();
  }

  /** Reads heads and begins exchanges until one is under way; returns where it stopped. */
  #pump(chunk: Buffer, start: number): number {
    let from = start;
    this.#isPumping = true;
    while (from < chunk.length && this.state === DownstreamState.Idle && this.#mayBegin()) {
      const now = this.#scope.clock.now();
      const exchange = this.exchange ?? this.#exchanges.take(this, this.owner.plan);
      this.exchange = exchange;
      const { headReader } = exchange;
      const verdict = headReader.read(chunk, from);
      from = headReader.position;
      if (this.#headStartMs < 0) this.#headStartMs = now;
      if (verdict === HeadState.More) {
        this.#awaitHead(now);
        break;
      }
      const startMs = this.#headStartMs;
      this.#headStartMs = -1;
      if (verdict === HeadState.Done && this.#isInbound && isKeepRequest(exchange.head)) {
        this.#answerKeep(exchange, now);
        continue;
      }
      this.#move(DownstreamState.Idle, DownstreamState.Busy);
      this.requests++;
      if (verdict === HeadState.Refused) {
        const { refusal } = headReader;
        const what = failure[refusal.cause];
        exchange.refuse(this.owner.plan, what, printRefusal(refusal), startMs);
        break;
      }
      if (this.meshPeer === undefined && this.owner.isStrict === true) {
        exchange.refuse(this.owner.plan, failure['no-identity'], this.#plainDetail(), startMs);
        break;
      }
      from = exchange.begin(this.owner.plan, chunk, from, startMs, now);
    }
    this.#isPumping = false;
    return from;
  }

  /** A keep message is no exchange: it is answered at once, and the next request may come. */
  #answerKeep(exchange: Exchange, now: Milliseconds): void {
    const { head } = exchange;
    const status = takeKeepRequest(this.#scope, head, this, now);
    // A body would be taken for the next request, or be none in an answer to HEAD.
    const isPlain = head.bodyKind === BodyKind.None && head.method === Method.Post;
    const keeps = isPlain && head.persistent && this.mayKeep();
    this.socket.write(printKeepAnswer(status, keeps), 'latin1');
    this.#idleSinceMs = now;
    this.#scope.deadlines.set(this.deadline, now + this.#scope.limits.keepAliveIdleMs);
    if (!keeps) this.#close();
  }

  #plainDetail(): string {
    return `${this.peerAddress} came without mutual TLS to port ${this.owner.port}`;
  }

  /** What was held during the last exchange is next. */
  #goOn(): void {
    this.#pumpHeld();
    if (this.state === DownstreamState.Idle) this.#putExchangeAway();
  }

  /** It is for others, unless a head has begun or it holds something of this connection's. */
  #putExchangeAway(): void {
    const { exchange } = this;
    if (exchange === undefined || this.#headStartMs >= 0 || exchange.isBound) return;
    this.exchange = undefined;
    this.#exchanges.giveBack(exchange);
  }

  #pumpHeld(): void {
    const hold = this.#hold;
    while (hold.length !== 0 && this.state === DownstreamState.Idle && this.#mayBegin()) {
      hold.skip(this.#pump(hold.view(), 0));
    }
    if (this.state === DownstreamState.Idle && this.#peerEnded && hold.length === 0) this.#close();
    else if (this.isPaused) this.updateReads();
  }

  /** A peer that does not read its answers gets no more of them. */
  #mayBegin(): boolean {
    return !this.isFull;
  }

  /** A head has begun: it has `headTimeoutMs` in all. */
  #awaitHead(now: Milliseconds): void {
    if (this.#headStartMs !== now) return;
    this.#scope.deadlines.set(this.deadline, now + this.#scope.limits.headTimeoutMs);
  }

  #onIdleDeadline(): void {
    if (this.#headStartMs < 0) {
      // Silent since accept, or idle since the last answer: nobody waits for a word.
      this.#close();
      return;
    }
    this.#move(DownstreamState.Idle, DownstreamState.Busy);
    this.requests++;
    const late = failure['request-head-timeout'];
    this.exchange!.refuse(this.owner.plan, late, '', this.#headStartMs);
  }

  #onDrained(): void {
    if (this.state === DownstreamState.Busy) this.exchange!.onDownstreamDrained();
    else if (this.state === DownstreamState.Idle) this.#goOn();
  }

  #onPeerEnded(): void {
    this.#peerEnded = true;
    if (this.state === DownstreamState.Busy) {
      // A whole request gets its answer, and one whose rest nobody wants; a cut one never can.
      const exchange = this.exchange!;
      if (exchange.request.isReading) this.destroy();
      else if (this.#hold.length === 0) exchange.onDownstreamEnded();
    } else if (this.state === DownstreamState.Idle) {
      if (this.#headStartMs >= 0) this.destroy();
      else if (this.#hold.length === 0) this.#close();
    }
  }

  /** The peer has ended its connection: so do we, where nobody else has ours upstream by now. */
  #endPair(): void {
    const pair = this.#pair;
    this.#pair = undefined;
    if (pair?.lastUser === this && pair.state === UpstreamState.Idle) pair.destroy(false);
  }

  /** Says FIN and waits for the peer's, for a while. */
  #close(): void {
    this.#move(DownstreamState.Idle, DownstreamState.Closing);
    const { deadlines, clock, limits } = this.#scope;
    this.#hold.clear();
    // Until everything is sent the peer has the time of a stream; 'finish' starts the linger.
    deadlines.set(this.deadline, clock.now() + limits.streamIdleMs);
    this.socket.end();
    if (this.isPaused) {
      this.isPaused = false;
      this.socket.resume();
    }
  }

  #end(): void {
    if (this.state >= DownstreamState.Closed) return;
    this.state = DownstreamState.Closed;
    this.#hold.clear();
    this.#counts.downstreamOpen--;
    this.#scope.deadlines.remove(this.deadline);
    this.#life?.end();
    this.exchange?.onConnectionOver();
    this.owner.onConnectionClosed(this);
  }

  #move(from: number, to: number): void {
    assert(this.state === from, `downstream connection: state ${this.state}, not ${from}`);
    this.state = to;
  }
}
