/**
 * An opaque connection: bytes of both directions passed on as they come, unread.
 *
 *   downstream ──bytes, FIN──► upstream       each direction holds at most `heldBytesMax` unsent,
 *   downstream ◄──bytes, FIN── upstream       then its reader stops until the writer has drained
 *
 * One direction may end long before the other. RST on one side is RST on the other. It ends when both
 * directions have, when a side is lost, or after an hour without a byte.
 */

import type { Socket } from 'node:net';
import { Deadline, type DeadlineOwner } from '../base/deadlines.ts';
import { type Failure, failure } from '../model/failure.ts';
import type { CapturedConnection } from './captured-connection.ts';
import { connectFailure } from './connect-failure.ts';
import type { Endable, ProxyScope } from './proxy-scope.ts';
import { type ByteTaker, resetSocket } from './socket-reads.ts';
import {
  type UpstreamConnection,
  UpstreamState,
  type UpstreamUser,
} from './upstream-connection.ts';

export class OpaqueRelay implements ByteTaker, DeadlineOwner, Endable, UpstreamUser {
  readonly #scope: ProxyScope;
  readonly #captured: CapturedConnection;
  readonly #downstream: Socket;
  readonly #upstream: UpstreamConnection;
  readonly #deadline: Deadline = new Deadline(this);
  #downstreamEnded = false;
  #upstreamEnded = false;
  #isReset = false;
  #isOver = false;

  /** Takes over both ends; `upstream` may still be being dialled. */
  constructor(scope: ProxyScope, captured: CapturedConnection, upstream: UpstreamConnection) {
    this.#scope = scope;
    this.#captured = captured;
    this.#downstream = captured.socket;
    this.#upstream = upstream;
    upstream.handTo(this);
    this.#listen();
    this.#onActivity();
  }

  onBytes(chunk: Buffer): void {
    this.#guard(() => {
      if (this.#isOver) return;
      this.#captured.report.record.requestBytes += chunk.length;
      this.#onActivity();
      const { socket } = this.#upstream;
      // The chunk is lent for this call only.
      socket.write(Buffer.from(chunk));
      if (socket.writableLength >= socket.writableHighWaterMark) this.#downstream.pause();
    });
  }

  /** FIN of the downstream. */
  onDownstreamEnded(): void {
    if (this.#isOver) return;
    this.#downstreamEnded = true;
    this.#onActivity();
    this.#upstream.socket.end();
  }

  onUpstreamConnected(): void {
    this.#captured.report.connected();
  }

  onUpstreamBytes(chunk: Buffer): void {
    this.#captured.report.responseBegun();
    this.#captured.report.record.responseBytes += chunk.length;
    this.#onActivity();
    const socket = this.#downstream;
    socket.write(Buffer.from(chunk));
    if (socket.writableLength >= socket.writableHighWaterMark) this.#upstream.socket.pause();
  }

  onUpstreamDrained(): void {
    this.#onActivity();
    this.#downstream.resume();
  }

  onUpstreamEnded(): void {
    this.#upstreamEnded = true;
    this.#onActivity();
    this.#downstream.end();
  }

  onUpstreamLost(code: string): void {
    if (this.#downstreamEnded && this.#upstreamEnded && code === '') {
      // Both directions are through; what the downstream has not read yet is still on its way.
      if (this.#downstream.destroyed) this.#finish(undefined);
      return;
    }
    const isConnected = this.#captured.report.isConnected;
    this.#end(isConnected ? failure['upstream-reset'] : connectFailure(code));
  }

  onConnectTimeout(): void {
    this.#end(failure['connect-timeout']);
  }

  onDeadline(): void {
    this.#end(failure['stream-idle-timeout']);
  }

  /** Ends at once, by RST on both sides. */
  destroy(): void {
    if (!this.#isOver) this.#end(undefined);
  }

  #listen(): void {
    const socket = this.#downstream;
    socket.on('drain', () => {
      if (this.#isOver) return;
      this.#onActivity();
      this.#upstream.socket.resume();
    });
    socket.on('end', () => this.#guard(() => this.onDownstreamEnded()));
    socket.on('error', () => {
      this.#isReset = true;
    });
    socket.on('close', () => this.#guard(() => this.#onDownstreamClosed()));
  }

  #onDownstreamClosed(): void {
    if (this.#isOver) return;
    if (this.#isReset || !this.#downstreamEnded || !this.#upstreamEnded) {
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

  #onActivity(): void {
    const { deadlines, clock, limits } = this.#scope;
    deadlines.set(this.#deadline, clock.now() + limits.opaqueIdleMs);
  }

  /** Cuts both sides; `what` is undefined when the proxy itself ends. */
  #end(what: Failure | undefined): void {
    this.#upstream.destroy(true);
    resetSocket(this.#downstream);
    this.#finish(what);
  }

  #finish(what: Failure | undefined): void {
    if (this.#isOver) return;
    this.#isOver = true;
    this.#scope.deadlines.remove(this.#deadline);
    this.#captured.onClosed(what);
  }
}
