/**
 * A tunnel: bytes of both directions passed on as they come, unread. Opaque connections and upgraded
 * ones end as one.
 *
 *   downstream ──bytes, FIN──► upstream       one ByteFlow each way: what is held, when reading stops
 *   downstream ◄──bytes, FIN── upstream
 *
 * One direction may end long before the other. RST on one side is RST on the other. It ends when both
 * directions have, when a side is lost, or after `idleMs` without a byte. A side that is not being
 * read, because the other does not take its bytes, is not seen to be lost until it is read again:
 * libuv watches no socket that is neither read nor written.
 */

import type { Socket } from 'node:net';
import type { Milliseconds } from '../base/clock.ts';
import { Deadline, type DeadlineOwner } from '../base/deadlines.ts';
import { type Failure, failure } from '../model/failure.ts';
import { ByteFlow } from './byte-flow.ts';
import { connectFailure } from './connect-failure.ts';
import type { ConnectionReport } from './connection-report.ts';
import type { Endable, ProxyScope } from './proxy-scope.ts';
import { type ByteTaker, resetSocket } from './socket-reads.ts';
import {
  type UpstreamConnection,
  UpstreamState,
  type UpstreamUser,
} from './upstream-connection.ts';

/** What a tunnel joins: both are the tunnel's from now on; the upstream may still be being dialled. */
export interface TunnelEnds {
  /** Whoever gets its bytes gives them to `onBytes`. */
  readonly downstream: Socket;
  readonly upstream: UpstreamConnection;
}

export interface TunnelOwner {
  /** Nothing is under way any more; both sockets are closed or closing. Called once. */
  onTunnelClosed(tunnel: ByteTunnel): void;
}

export class ByteTunnel implements ByteTaker, DeadlineOwner, Endable, UpstreamUser {
  readonly report: ConnectionReport;
  readonly #scope: ProxyScope;
  readonly #owner: TunnelOwner;
  readonly #idleMs: Milliseconds;
  readonly #downstream: Socket;
  readonly #upstream: UpstreamConnection;
  readonly #up: ByteFlow;
  readonly #down: ByteFlow;
  readonly #deadline: Deadline = new Deadline(this);
  #isReset = false;
  #isOver = false;

  /**
   * `report` has begun its span and is finished by the tunnel. `idleMs`: Infinity, and the system's
   * keep-alive looks whether the peers are there. A FIN that the downstream has sent before is told
   * by `onDownstreamEnded`.
   */
  constructor(
    scope: ProxyScope,
    ends: TunnelEnds,
    report: ConnectionReport,
    owner: TunnelOwner,
    idleMs: Milliseconds,
  ) {
    const { downstream, upstream } = ends;
    this.report = report;
    this.#scope = scope;
    this.#owner = owner;
    this.#idleMs = idleMs;
    this.#downstream = downstream;
    this.#upstream = upstream;
    this.#up = new ByteFlow(scope, downstream, upstream.socket);
    this.#down = new ByteFlow(scope, upstream.socket, downstream);
    scope.countsOf(report.direction).downstreamOpen++;
    upstream.handTo(this);
    this.#listen();
    if (idleMs === Number.POSITIVE_INFINITY) this.#keepAlive();
    else this.#onActivity();
  }

  /** Bytes that wait to be sent: each at most `heldBytesMax`. */
  get requestHeldBytes(): number {
    return this.#upstream.socket.writableLength;
  }

  get responseHeldBytes(): number {
    return this.#downstream.writableLength;
  }

  /** Bytes of the downstream. They are sent or copied before it returns. */
  onBytes(chunk: Buffer): void {
    if (this.#isOver) return;
    try {
      this.report.record.requestBytes += chunk.length;
      this.#onActivity();
      this.#up.pass(chunk);
    } catch (error) {
      this.#scope.containBug(this, error);
    }
  }

  /** FIN of the downstream. */
  onDownstreamEnded(): void {
    if (this.#isOver || this.#up.isEnded) return;
    this.#up.end();
    this.#onActivity();
  }

  onUpstreamConnected(): void {
    this.report.connected();
  }

  onUpstreamBytes(chunk: Buffer): void {
    if (this.#isOver) return;
    this.report.responseBegun();
    this.report.record.responseBytes += chunk.length;
    this.#onActivity();
    this.#down.pass(chunk);
  }

  onUpstreamDrained(): void {
    if (this.#isOver) return;
    this.#onActivity();
    this.#up.resume();
  }

  onUpstreamEnded(): void {
    if (this.#isOver) return;
    this.#down.end();
    this.#onActivity();
  }

  onUpstreamLost(code: string): void {
    if (this.#isOver) return;
    if (this.#up.isEnded && this.#down.isEnded && code === '') {
      // Both directions are through; what the downstream has not read yet is still on its way.
      if (this.#downstream.destroyed) this.#finish(undefined);
      return;
    }
    this.#end(this.report.isConnected ? failure['upstream-reset'] : connectFailure(code));
  }

  onConnectTimeout(): void {
    this.#end(failure['connect-timeout']);
  }

  onDeadline(): void {
    this.#end(failure['stream-idle-timeout']);
  }

  /** Ends at once, by RST on both sides. */
  destroy(): void {
    this.#end(undefined);
  }

  #listen(): void {
    const socket = this.#downstream;
    socket.on('drain', () => this.#guard(() => this.#onDownstreamDrained()));
    socket.on('end', () => this.#guard(() => this.onDownstreamEnded()));
    socket.on('error', () => {
      this.#isReset = true;
    });
    socket.on('close', () => this.#guard(() => this.#onDownstreamClosed()));
  }

  #onDownstreamDrained(): void {
    if (this.#isOver) return;
    this.#onActivity();
    this.#down.resume();
  }

  #onDownstreamClosed(): void {
    if (this.#isOver) return;
    if (this.#isReset || !this.#up.isEnded || !this.#down.isEnded) {
      this.#end(failure['client-gone']);
    } else if (this.#upstream.state === UpstreamState.Closed) this.#finish(undefined);
  }

  #guard(call: () => void): void {
    try {
      call();
    } catch (error) {
      this.#scope.containBug(this, error);
    }
  }

  #keepAlive(): void {
    const { tunnelKeepAliveMs } = this.#scope.limits;
    this.#downstream.setKeepAlive(true, tunnelKeepAliveMs);
    this.#upstream.socket.setKeepAlive(true, tunnelKeepAliveMs);
  }

  /** A tunnel without an idle limit has that of opaque connections once a side has ended. */
  #onActivity(): void {
    const { deadlines, clock, limits } = this.#scope;
    let ms = this.#idleMs;
    if (ms === Number.POSITIVE_INFINITY) {
      if (!this.#up.isEnded && !this.#down.isEnded) return;
      ms = limits.opaqueIdleMs;
    }
    deadlines.set(this.#deadline, clock.now() + ms);
  }

  /** Cuts both sides; `what` is undefined when the proxy itself ends. */
  #end(what: Failure | undefined): void {
    if (this.#isOver) return;
    this.#upstream.destroy(true);
    resetSocket(this.#downstream);
    this.#finish(what);
  }

  #finish(what: Failure | undefined): void {
    this.#isOver = true;
    this.#scope.deadlines.remove(this.#deadline);
    this.#up.close();
    this.#down.close();
    this.#scope.countsOf(this.report.direction).downstreamOpen--;
    this.report.finish(what);
    this.#owner.onTunnelClosed(this);
  }
}
