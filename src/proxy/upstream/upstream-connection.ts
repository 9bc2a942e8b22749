/**
 * One connection to an endpoint: dialled for one exchange, lent to many, one at a time.
 *
 *   Connecting ──► Leased ◄──► Idle        any ──► Closed        Connecting ──► Idle: a spare one
 *
 * It knows no HTTP but the readers that it makes for the first user who asks. While idle every byte, FIN or error
 * closes it: a reused connection must never hand one request another's bytes (reference/
 * reliability.md rows 180-182).
 */

import { isIP, type Socket } from 'node:net';
import { assert } from '../../base/assert.ts';
import type { Milliseconds } from '../../base/clock.ts';
import { Deadline, type DeadlineOwner } from '../../base/deadlines.ts';
import { failure } from '../../model/failure.ts';
import type { ConnectionCounts } from '../../telemetry/metrics/metrics.ts';
import { BodyReader } from '../../wire/http1/body-reader.ts';
import { HeadReader } from '../../wire/http1/head-reader.ts';
import { MessageHead } from '../../wire/http1/message-head.ts';
import type { Endable, ProxyScope } from '../scope/proxy-scope.ts';
import { printAddress } from '../socket/print-address.ts';
import { SecureSocket } from '../socket/secure-socket.ts';
import { type ByteTaker, openSecureSocket, openSocket } from '../socket/socket-reads.ts';
import type { EndpointPool } from './endpoint-pool.ts';
import { type HandshakeOwner, UpstreamHandshake } from './upstream-handshake.ts';
import { isProblem } from './upstream-tls.ts';

export const UpstreamState = { Connecting: 0, Leased: 1, Idle: 2, Closed: 3 } as const;

/** Who has the lease. Each call may end the connection. */
export interface UpstreamUser extends Endable {
  /**
   * What goes upstream are requests that it has read and writes itself; absent: bytes of somebody else's,
   * which nobody has read. The peer is told, where mutual TLS of the mesh is spoken.
   */
  readonly writesRequests?: boolean;
  onUpstreamConnected(): void;
  onUpstreamBytes(chunk: Buffer): void;
  /** All bytes given to the socket have gone to the kernel. */
  onUpstreamDrained(): void;
  /** FIN: no more bytes will come. */
  onUpstreamEnded(): void;
  /** The connection is gone; `code` is the system's word (`ECONNRESET`) or ''. */
  onUpstreamLost(code: string): void;
  /** No connection within the connect timeout. */
  onConnectTimeout(): void;
}

/** Who had the last lease and wants to know when the peer ends the connection behind it. */
export interface LastUser {
  onIdleEnded(upstream: UpstreamConnection): void;
}

/** What is needed to read responses, one after the other. */
class HttpReading {
  readonly head = new MessageHead();
  readonly headReader: HeadReader;
  readonly bodyReader: BodyReader;

  constructor({ limits }: ProxyScope) {
    this.headReader = new HeadReader(this.head, 'response', limits);
    this.bodyReader = new BodyReader(limits);
  }
}

export class UpstreamConnection implements ByteTaker, DeadlineOwner, HandshakeOwner {
  readonly id: number;
  readonly pool: EndpointPool;
  readonly socket: Socket;
  /** Requests that it has carried, the present one included. */
  requests = 0;
  /** How long it may be idle: ours, or less if the peer says so; -1 = not yet known. */
  idleMs: Milliseconds = -1;
  state: number = UpstreamState.Connecting;
  /** Until the endpoint's name was looked up, microseconds; -1: it is an address. */
  lookupUs = -1;
  /** Until the next lease; undefined where nobody asks. */
  lastUser: LastUser | undefined = undefined;
  /** Undefined for one that carries the bytes as they are. */
  readonly handshake: UpstreamHandshake | undefined;
  /** Bytes of the peer have come. */
  hasHeard = false;
  readonly #scope: ProxyScope;
  readonly #counts: ConnectionCounts;
  readonly #deadline: Deadline;
  #user: UpstreamUser | undefined;
  /** Until when it has to be connected. */
  #connectBy: Milliseconds;
  /** Until when the handshake has to be over; Infinity: it has not begun. */
  #handshakeBy: Milliseconds = Number.POSITIVE_INFINITY;
  #errorCode = '';
  #reading: HttpReading | undefined;

  /** Dials at once; `user` is told how it went. `timeoutMs` bounds the connect. */
  constructor(
    scope: ProxyScope,
    pool: EndpointPool,
    counts: ConnectionCounts,
    user: UpstreamUser,
    timeoutMs: Milliseconds,
  ) {
    const { address, port } = pool;
    const hop = counts === scope.outbound ? scope.localHop : undefined;
    const local = hop?.open(address, port, this, scope.sockets.heldBytesMax);
    if (local === undefined && pool.tls !== undefined) {
      const dial = pool.tls.dial(user.writesRequests === true);
      assert(!isProblem(dial), 'the lease asks the pool before it dials');
      const secure = openSecureSocket(address, port, this, scope.sockets, dial);
      this.socket = secure;
      this.handshake = new UpstreamHandshake(scope, secure, dial, this);
    } else {
      this.socket = local ?? openSocket(address, port, this, scope.sockets);
      this.handshake = undefined;
    }
    this.id = scope.nextConnectionId();
    this.pool = pool;
    this.#scope = scope;
    this.#counts = counts;
    this.#deadline = new Deadline(this);
    this.#user = user;
    counts.upstreamOpen++;
    counts.upstreamTotal++;
    this.#connectBy = scope.clock.now() + timeoutMs;
    scope.deadlines.set(this.#deadline, this.#connectBy);
    this.#listen();
    if (isIP(address) === 0) this.#timeLookup();
  }

  #timeLookup(): void {
    const startMs = this.#scope.clock.now();
    this.socket.once('lookup', () => {
      this.lookupUs = Math.round((this.#scope.clock.now() - startMs) * 1_000);
    });
  }

  get head(): MessageHead {
    return this.#http().head;
  }

  get headReader(): HeadReader {
    return this.#http().headReader;
  }

  get bodyReader(): BodyReader {
    return this.#http().bodyReader;
  }

  /** A connection that is relayed unread has none. */
  #http(): HttpReading {
    this.#reading ??= new HttpReading(this.#scope);
    return this.#reading;
  }

  /** Its keys and roots are those in force at `now`, and its peer's certificate has not ended. */
  isCurrentAt(now: Milliseconds): boolean {
    const { handshake, pool } = this;
    if (handshake === undefined) return true;
    return handshake.generation === pool.tls?.generation && now < handshake.peerUntilMs;
  }

  get where(): string {
    return printAddress(this.pool.address, this.pool.port);
  }

  /** Why it is gone, as far as that is a matter of TLS, for people; '' = it is none. */
  get problemText(): string {
    const { handshake } = this;
    if (handshake === undefined || this.hasHeard) return '';
    if (handshake.problem !== undefined) return handshake.problem.detail;
    // In TLS 1.3 who dials is done first, and many close without an alert.
    const isOver = handshake.tlsUs >= 0;
    return isOver ? 'closed behind the TLS handshake: our certificate refused?' : '';
  }

  get isReused(): boolean {
    return this.requests > 1;
  }

  /** Lends an idle connection, or a spare one that is still being dialled, to `user`. */
  lease(user: UpstreamUser): void {
    if (this.state === UpstreamState.Connecting) {
      assert(this.#user === undefined, 'a spare connection has no user');
      this.#user = user;
      return;
    }
    this.#move(UpstreamState.Idle, UpstreamState.Leased);
    this.#user = user;
    this.lastUser = undefined;
    this.requests++;
    this.#scope.deadlines.clear(this.#deadline);
  }

  /** The lease, or the wait for the connection, goes on with another user. */
  handTo(user: UpstreamUser): void {
    assert(this.#user !== undefined, 'only a connection in use can be handed on');
    this.#user = user;
  }

  /** It was dialled for something that needs it no more, and nothing was sent: the pool keeps it. */
  spare(now: Milliseconds): void {
    this.requests = 0;
    this.#user = undefined;
    if (this.state === UpstreamState.Leased) {
      this.state = UpstreamState.Idle;
      this.#scope.deadlines.set(this.#deadline, now + this.#scope.limits.poolIdleMs);
    }
    if (!this.pool.giveBack(this, now)) this.destroy(false);
  }

  /** There is nobody else to ask: goes on connecting, for `moreMs`. */
  waitOn(moreMs: Milliseconds): void {
    assert(this.state === UpstreamState.Connecting, 'only a connection that is dialled is awaited');
    this.#connectBy = this.#scope.clock.now() + moreMs;
    this.#scope.deadlines.set(this.#deadline, Math.min(this.#connectBy, this.#handshakeBy));
  }

  /** TCP is there: what follows has a limit of its own. */
  onHandshake(): void {
    if (this.state !== UpstreamState.Connecting) return;
    const { clock, deadlines, limits } = this.#scope;
    this.#handshakeBy = clock.now() + limits.tlsHandshakeMs;
    deadlines.set(this.#deadline, Math.min(this.#connectBy, this.#handshakeBy));
  }

  onSecured(): void {
    if (this.#isMeshed) this.#counts.meshHandshakes++;
    this.#onOpen();
  }

  get #isMeshed(): boolean {
    return this.handshake !== undefined && this.pool.tls?.identity !== '';
  }

  /** Ends the lease after a whole response that leaves no doubt. */
  release(now: Milliseconds): void {
    this.#move(UpstreamState.Leased, UpstreamState.Idle);
    this.#user = undefined;
    this.headReader.reset();
    if (this.pool.giveBack(this, now)) this.#scope.deadlines.set(this.#deadline, now + this.idleMs);
    else this.destroy(false);
  }

  /** As `release`, but the pool never hears of it: whoever leased it leases it again, or ends it. */
  keep(now: Milliseconds): void {
    this.#move(UpstreamState.Leased, UpstreamState.Idle);
    this.#user = undefined;
    this.headReader.reset();
    this.#scope.deadlines.set(this.#deadline, now + this.idleMs);
  }

  /** Ends the connection; `reset` sends RST, so that the peer cannot take a part for the whole. */
  destroy(reset: boolean): void {
    if (this.state === UpstreamState.Closed) return;
    if (this.#user === undefined) this.pool.forget(this);
    this.state = UpstreamState.Closed;
    this.#user = undefined;
    this.#counts.upstreamOpen--;
    this.#scope.deadlines.remove(this.#deadline);
    // While it is connecting an RST would wait for that, and what was written would go out before it.
    if (reset && !this.socket.connecting) this.socket.resetAndDestroy();
    else this.socket.destroy();
  }

  onBytes(chunk: Buffer): void {
    const user = this.#user;
    this.hasHeard = true;
    if (user === undefined) {
      this.destroy(false);
      return;
    }
    try {
      user.onUpstreamBytes(chunk);
    } catch (error) {
      this.#scope.containBug(user, error);
    }
  }

  onDeadline(): void {
    const user = this.#user;
    if (user === undefined) this.destroy(false);
    else if (this.#scope.clock.now() >= this.#handshakeBy) this.#failHandshake('it took too long');
    else this.#tell(() => user.onConnectTimeout());
  }

  /** 'close' follows, which tells the user. */
  #failHandshake(why: string): void {
    this.handshake!.fail({ failure: failure['tls-failed'], detail: why });
  }

  #listen(): void {
    const { socket } = this;
    if (this.handshake === undefined) socket.on('connect', () => this.#onOpen());
    socket.on('drain', () => this.#tell(() => this.#user?.onUpstreamDrained()));
    socket.on('end', () => this.#onEnd());
    socket.on('error', (error: NodeJS.ErrnoException) => {
      this.#errorCode = this.handshake?.codeOf(error) ?? error.code ?? error.message;
    });
    socket.on('close', () => {
      const user = this.#user;
      if (this.state === UpstreamState.Connecting) this.#countFailed();
      if (this.state === UpstreamState.Idle) this.#endIdle();
      this.destroy(false);
      const code = this.handshake?.problem?.failure.cause ?? this.#errorCode;
      if (user !== undefined) this.#tell(() => user.onUpstreamLost(code), user);
    });
  }

  #countFailed(): void {
    this.#counts.upstreamFailed++;
    if (this.#isMeshed && this.handshake!.problem !== undefined)
      this.#counts.meshHandshakesFailed++;
  }

  /** It is there, and if it is secure its peer is known. */
  #onOpen(): void {
    if (this.state !== UpstreamState.Connecting) return;
    this.#handshakeBy = Number.POSITIVE_INFINITY;
    this.#scope.deadlines.clear(this.#deadline);
    if (this.#user === undefined) {
      this.#move(UpstreamState.Connecting, UpstreamState.Idle);
      const { clock, deadlines, limits } = this.#scope;
      deadlines.set(this.#deadline, clock.now() + limits.poolIdleMs);
      return;
    }
    this.#move(UpstreamState.Connecting, UpstreamState.Leased);
    this.requests = 1;
    this.#tell(() => this.#user?.onUpstreamConnected());
  }

  #onEnd(): void {
    const { socket } = this;
    if (this.handshake?.isUnderWay === true) {
      this.#failHandshake('the endpoint ended the connection: it speaks no TLS, or refuses ours');
    } else if (this.#user === undefined) this.#endIdle();
    else if (socket instanceof SecureSocket && socket.isCut) {
      // FIN without a word in TLS: what came may be a part, as behind a reset.
      socket.destroy();
    } else this.#tell(() => this.#user?.onUpstreamEnded());
  }

  /** The peer has ended it while nobody had it. */
  #endIdle(): void {
    const { lastUser } = this;
    this.destroy(false);
    if (lastUser !== undefined) this.#tell(() => lastUser.onIdleEnded(this));
  }

  /** Runs one call of the user; a bug in it ends the user's exchange, not the process. */
  #tell(call: () => void, user = this.#user): void {
    try {
      call();
    } catch (error) {
      this.#scope.containBug(user ?? { destroy: () => this.destroy(false) }, error);
    }
  }

  #move(from: number, to: number): void {
    assert(this.state === from, `upstream connection: state ${this.state}, not ${from}`);
    this.state = to;
  }
}
