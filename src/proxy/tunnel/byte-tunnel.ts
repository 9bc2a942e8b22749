/**
 * A tunnel: bytes of both directions passed on as they come, unread. Opaque connections and upgraded
 * ones end as one.
 *
 *   downstream ──bytes, FIN──► upstream       one ByteFlow each way: what is held, when reading stops
 *   downstream ◄──bytes, FIN── upstream
 *
 * One direction may end long before the other. RST on one side is RST on the other. It ends when both
 * directions have, when a side is lost, or after `idleMs` without a byte. When the certificates of mutual
 * TLS are over it says FIN to both sides, and cuts whoever has not closed `meshEndMs` later. That a quiet peer is gone
 * without a word the system finds out, once the tunnel is not young any more. A side that is not being
 * read, because the other does not take its bytes, is not seen to be lost until it is read again:
 * libuv watches no socket that is neither read nor written.
 */

import type { Socket } from 'node:net';
import type { Milliseconds } from '../../base/clock.ts';
import { Deadline, type DeadlineOwner } from '../../base/deadlines.ts';
import { type Failure, failure } from '../../model/failure.ts';
import { type MeshLife, type MeshLived, meshLifeOf } from '../mesh/mesh-life.ts';
import type { Endable, ProxyScope } from '../scope/proxy-scope.ts';
import { SecureSocket } from '../socket/secure-socket.ts';
import { type ByteTaker, resetSocket } from '../socket/socket-reads.ts';
import { keepUrgentData } from '../socket/urgent-data.ts';
import { connectFailure, tlsFailure } from '../upstream/connect-failure.ts';
import {
  type UpstreamConnection,
  UpstreamState,
  type UpstreamUser,
} from '../upstream/upstream-connection.ts';
import { ByteFlow } from './byte-flow.ts';
import type { ConnectionReport } from './connection-report.ts';

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

export class ByteTunnel implements ByteTaker, DeadlineOwner, Endable, UpstreamUser, MeshLived {
  readonly report: ConnectionReport;
  readonly #scope: ProxyScope;
  readonly #owner: TunnelOwner;
  readonly #idleMs: Milliseconds;
  readonly #downstream: Socket;
  readonly #upstream: UpstreamConnection;
  readonly #up: ByteFlow;
  readonly #down: ByteFlow;
  readonly #deadline: Deadline = new Deadline(this);
  /** When it has been idle for too long. */
  #idleAt: Milliseconds = Number.POSITIVE_INFINITY;
  /** When it is no longer young; Infinity from then on. */
  #grownAt: Milliseconds;
  /** How long it may go on; undefined where no TLS of the mesh ends here. */
  readonly #life: MeshLife | undefined;
  #isReset = false;
  /** Why FIN was said to both sides: nothing is passed on any more. */
  #stopped: Failure | undefined;
  #isOver = false;

  /**
   * `said`: what the downstream has said already; it is the first that is sent. `report` has begun its
   * span and is finished by the tunnel. `idleMs`: Infinity for none while both directions are open. A
   * FIN that the downstream has sent before is told by `onDownstreamEnded`.
   */
  constructor(
    scope: ProxyScope,
    ends: TunnelEnds,
    report: ConnectionReport,
    owner: TunnelOwner,
    idleMs: Milliseconds,
    said?: Buffer,
  ) {
    const { downstream, upstream } = ends;
    // What has been said is on its way while everything else is made.
    this.#up = new ByteFlow(scope, downstream, upstream.socket);
    if (said !== undefined) {
      report.record.requestBytes += said.length;
      this.#up.pass(said);
    }
    this.report = report;
    this.#scope = scope;
    this.#owner = owner;
    this.#idleMs = idleMs;
    this.#downstream = downstream;
    this.#upstream = upstream;
    this.#down = new ByteFlow(scope, upstream.socket, downstream);
    scope.countsOf(report.direction).downstreamOpen++;
    upstream.handTo(this);
    this.#life = meshLifeOf(scope, downstream, this);
    this.#listen();
    this.#grownAt = scope.clock.now() + scope.limits.tunnelYoungMs;
    this.#onActivity();
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
    if (this.#isOver || this.#stopped !== undefined) return;
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
    this.report.connected(this.#upstream);
    // What waited for the connection goes out first; it is read after that.
    process.nextTick(keepUrgentData, this.#upstream.socket);
  }

  onUpstreamBytes(chunk: Buffer): void {
    if (this.#isOver || this.#stopped !== undefined) return;
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
    if (this.#isOver || this.#down.isEnded) return;
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
    this.report.lost(this.#upstream);
    const reset = tlsFailure(code) ?? failure['upstream-reset'];
    this.#end(this.report.isConnected ? reset : connectFailure(code));
  }

  onConnectTimeout(): void {
    this.report.lost(this.#upstream);
    this.#end(failure['connect-timeout']);
  }

  onDeadline(now: Milliseconds): void {
    if (now >= this.#idleAt) {
      this.#end(failure['stream-idle-timeout']);
      return;
    }
    this.#grownAt = Number.POSITIVE_INFINITY;
    this.#keepAlive();
    this.#arm();
  }

  /** Ends at once, by RST on both sides. */
  destroy(): void {
    this.#end(undefined);
  }

  /** The certificates that it was made with are over. */
  onMeshEnd(): void {
    if (this.#isOver) return;
    const { clock, limits } = this.#scope;
    this.#stopped = failure['certificate-over'];
    this.#up.stop();
    this.#down.stop();
    this.#idleAt = clock.now() + limits.meshEndMs;
    this.#grownAt = Number.POSITIVE_INFINITY;
    this.#arm();
  }

  #listen(): void {
    const socket = this.#downstream;
    socket.on('drain', () => this.#guard(() => this.#onDownstreamDrained()));
    socket.on('end', () => this.#guard(() => this.#onDownstreamEnd()));
    socket.on('error', () => {
      this.#isReset = true;
    });
    socket.on('close', () => this.#guard(() => this.#onDownstreamClosed()));
  }

  /** FIN without a word in TLS is no end that can be believed: as good as RST. */
  #onDownstreamEnd(): void {
    const socket = this.#downstream;
    if (socket instanceof SecureSocket && socket.isCut) this.#end(failure['client-gone']);
    else this.onDownstreamEnded();
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

  /** Eight system calls: short connections, and the first bytes of long ones, go without. */
  #keepAlive(): void {
    const { tunnelKeepAliveMs: ms, tunnelProbesMax } = this.#scope.limits;
    this.#downstream.setKeepAlive(true, ms, ms, tunnelProbesMax);
    this.#upstream.socket.setKeepAlive(true, ms, ms, tunnelProbesMax);
  }

  /** A tunnel without an idle limit has that of opaque connections once a side has ended. */
  #onActivity(): void {
    if (this.#stopped !== undefined) return;
    const { clock, limits } = this.#scope;
    let ms = this.#idleMs;
    if (ms === Number.POSITIVE_INFINITY && (this.#up.isEnded || this.#down.isEnded)) {
      ms = limits.opaqueIdleMs;
    }
    this.#idleAt = clock.now() + ms;
    this.#arm();
  }

  #arm(): void {
    const at = Math.min(this.#idleAt, this.#grownAt);
    if (at !== Number.POSITIVE_INFINITY) this.#scope.deadlines.set(this.#deadline, at);
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
    this.#life?.end();
    this.#up.close();
    this.#down.close();
    this.#scope.countsOf(this.report.direction).downstreamOpen--;
    this.report.finish(this.#stopped ?? what);
    this.#owner.onTunnelClosed(this);
  }
}
