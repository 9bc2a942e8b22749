/**
 * A captured connection until it is known what is spoken on it, and while it is relayed unread.
 *
 *   Waiting ──a request line──► Http: a DownstreamConnection has it from here
 *      ├──any other first byte, or the server speaks first──► Opaque: an OpaqueRelay has it
 *      └──gone──► Closed
 *
 * Where HTTP is not expected the original destination is dialled at once, so that a server that
 * speaks first is heard; where it is, only after a silence. A connection dialled for nothing is not
 * wasted: the first request takes it. Nothing that the downstream has sent is ever lost or changed.
 */

import type { Socket } from 'node:net';
import { Deadline, type DeadlineOwner } from '../base/deadlines.ts';
import { type Failure, failure } from '../model/failure.ts';
import type { ConnectionCounts } from '../telemetry/metrics.ts';
import { Protocol, ProtocolDetector } from '../wire/detect.ts';
import { ByteHold } from './byte-hold.ts';
import type { CaptureOwner } from './capture-listener.ts';
import { connectFailure } from './connect-failure.ts';
import { ConnectionReport } from './connection-report.ts';
import { DownstreamConnection } from './downstream-connection.ts';
import { OpaqueRelay } from './opaque-relay.ts';
import type { Endable, ProxyScope } from './proxy-scope.ts';
import { adoptSocket, type ByteTaker, resetSocket } from './socket-reads.ts';
import { UpstreamConnection, type UpstreamUser } from './upstream-connection.ts';

const CaptureState = { Waiting: 0, Http: 1, Opaque: 2, Closed: 3 } as const;

export class CapturedConnection implements ByteTaker, DeadlineOwner, Endable, UpstreamUser {
  readonly socket: Socket;
  readonly report: ConnectionReport;
  readonly #scope: ProxyScope;
  readonly #owner: CaptureOwner;
  readonly #counts: ConnectionCounts;
  readonly #detector: ProtocolDetector;
  readonly #deadline: Deadline = new Deadline(this);
  /** First bytes, while they may still become a request line. */
  readonly #hold = new ByteHold();
  #state: number = CaptureState.Waiting;
  #upstream: UpstreamConnection | undefined;
  /** Why the original destination could not be reached. */
  #failed: Failure | undefined;
  /** Who has the bytes once it is known what they are. */
  #next: ByteTaker | undefined;
  #relay: OpaqueRelay | undefined;

  constructor(scope: ProxyScope, owner: CaptureOwner, accepted: Socket) {
    this.#scope = scope;
    this.#owner = owner;
    this.#counts = scope.countsOf(owner.direction);
    this.#detector = new ProtocolDetector(scope.limits.targetBytesMax);
    this.report = new ConnectionReport(scope, owner.direction, owner.destination, accepted);
    this.#counts.downstreamOpen++;
    this.socket = adoptSocket(accepted, this, scope.sockets);
    this.#listen();
    if (owner.isDeclared) this.#wakeIn(scope.limits.detectSilenceMs);
    else this.#dial();
  }

  /** Bytes that wait to be sent upstream. */
  get requestHeldBytes(): number {
    return this.#hold.length + (this.#upstream?.socket.writableLength ?? 0);
  }

  onBytes(chunk: Buffer): void {
    if (this.#next !== undefined) {
      this.#next.onBytes(chunk);
      return;
    }
    this.#guard(() => this.#detect(chunk));
  }

  /** Silence, short or for an hour, or a request line that does not end. */
  onDeadline(): void {
    this.#guard(() => {
      if (this.#owner.isRetired && this.#hold.length === 0) this.destroy();
      else if (this.#failed !== undefined) this.#giveUp(this.#failed);
      else if (this.#hold.length > 0) this.#relayOpaque();
      else if (this.#upstream === undefined) this.#dial();
      else this.#giveUp(failure['stream-idle-timeout']);
    });
  }

  /** Draining: nobody waits for a connection on which nothing has been said. */
  retire(): void {
    if (this.#state !== CaptureState.Waiting || this.#hold.length > 0) return;
    this.#wakeIn(this.#scope.limits.drainIdleMs);
  }

  /** Ends at once, by RST on both sides. */
  destroy(): void {
    this.#relay?.destroy();
    if (this.#state !== CaptureState.Waiting) return;
    this.#upstream?.destroy(true);
    resetSocket(this.socket);
    this.onClosed(undefined);
  }

  /** The connection has ended while it was ours, or the relay's. */
  onClosed(what: Failure | undefined): void {
    this.#state = CaptureState.Closed;
    this.#scope.deadlines.remove(this.#deadline);
    this.#counts.downstreamOpen--;
    this.#counts.downstreamTotal++;
    this.#counts.opaqueTotal++;
    this.#counts.opaqueSentBytes += this.report.record.requestBytes;
    this.#counts.opaqueReceivedBytes += this.report.record.responseBytes;
    this.#owner.onCapturedClosed(this);
    this.report.finish(what);
  }

  onUpstreamConnected(): void {
    this.report.connected();
  }

  /** The server speaks first. */
  onUpstreamBytes(chunk: Buffer): void {
    this.#relayOpaque().onUpstreamBytes(chunk);
  }

  onUpstreamDrained(): void {
    // Nothing has been sent.
  }

  onUpstreamEnded(): void {
    this.#relayOpaque().onUpstreamEnded();
  }

  /** Whoever speaks HTTP learns the cause from an answer, so its first bytes are waited for. */
  onUpstreamLost(code: string): void {
    this.#upstream = undefined;
    if (this.report.isConnected) {
      this.#giveUp(failure['upstream-reset']);
      return;
    }
    this.#failed = connectFailure(code);
    if (this.#hold.length === 0) this.#wakeIn(this.#scope.limits.detectSilenceMs);
  }

  onConnectTimeout(): void {
    this.#giveUp(failure['connect-timeout']);
  }

  #listen(): void {
    const { socket } = this;
    socket.on('end', () => {
      if (this.#state === CaptureState.Waiting) this.#guard(() => this.#onPeerEnded());
    });
    // What was wrong does not matter here: 'close' follows.
    socket.on('error', () => undefined);
    socket.on('close', () => {
      if (this.#state !== CaptureState.Waiting) return;
      this.#upstream?.destroy(true);
      this.onClosed(failure['client-gone']);
    });
  }

  #guard(call: () => void): void {
    try {
      call();
    } catch (error) {
      this.#scope.containBug(this, error);
    }
  }

  #wakeIn(ms: number): void {
    this.#scope.deadlines.set(this.#deadline, this.#scope.clock.now() + ms);
  }

  #detect(chunk: Buffer): void {
    if (this.#state !== CaptureState.Waiting) return;
    const isFirst = this.#hold.length === 0;
    const verdict = this.#detector.feed(chunk);
    if (isFirst && verdict === Protocol.Http1) {
      this.#becomeHttp().onBytes(chunk);
      return;
    }
    this.#hold.append(chunk, 0, chunk.length);
    if (verdict === Protocol.Http1) this.#replayHeld(this.#becomeHttp());
    else if (verdict === Protocol.Opaque) this.#relayOpaque();
    else if (isFirst) this.#wakeIn(this.#scope.limits.detectLineMs);
  }

  #becomeHttp(): DownstreamConnection {
    const scope = this.#scope;
    this.#state = CaptureState.Http;
    scope.deadlines.remove(this.#deadline);
    this.#upstream?.spare(scope.clock.now());
    this.#upstream = undefined;
    this.#counts.downstreamOpen--;
    const http = new DownstreamConnection(scope, this.#owner, this.socket, (socket) => socket);
    this.#next = http;
    this.#owner.onHttp(this, http);
    return http;
  }

  /** Both ends are the relay's from here on. Where connecting has failed there is nobody to relay to. */
  #relayOpaque(): UpstreamUser {
    if (this.#failed !== undefined) {
      this.#giveUp(this.#failed);
      return this;
    }
    if (this.#upstream === undefined) this.#dial();
    this.#scope.deadlines.remove(this.#deadline);
    this.#state = CaptureState.Opaque;
    const relay = new OpaqueRelay(this.#scope, this, this.#upstream!);
    this.#relay = relay;
    this.#next = relay;
    this.#replayHeld(relay);
    return relay;
  }

  #replayHeld(taker: ByteTaker): void {
    if (this.#hold.length > 0) taker.onBytes(this.#hold.view());
    this.#hold.clear();
  }

  #onPeerEnded(): void {
    if (this.#hold.length > 0 || this.#upstream !== undefined) {
      this.#relayOpaque();
      this.#relay?.onDownstreamEnded();
    } else this.destroy();
  }

  /** Resets the downstream: what it would have met without us is a refused connection. */
  #giveUp(what: Failure): void {
    this.#upstream?.destroy(true);
    resetSocket(this.socket);
    this.onClosed(what);
  }

  #dial(): void {
    const { cluster } = this.#owner.passthrough;
    const pool = cluster.pools[0]!;
    const { connectTimeoutMs } = cluster.cluster;
    this.report.dialling();
    this.#wakeIn(this.#scope.limits.opaqueIdleMs);
    this.#upstream = new UpstreamConnection(
      this.#scope,
      pool,
      this.#counts,
      this,
      connectTimeoutMs,
    );
  }
}
