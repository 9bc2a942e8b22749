/**
 * A connection of which a Gateway passes TLS through: dialled by the name of its ClientHello, then a tunnel.
 *
 *   Dialling ──connected──► a ByteTunnel has both ends          an endpoint that cannot be reached: another
 *      └── nobody can be reached, or the downstream goes: both sides end by RST
 *
 * What the downstream sends meanwhile is held, at most `heldBytesMax`; its FIN waits for the tunnel too.
 */

import type { Socket } from 'node:net';
import { type Failure, failure } from '../../model/failure.ts';
import { Detected, DetectedBy } from '../../telemetry/record/detection.ts';
import type { ClientHelloReader } from '../../wire/client-hello.ts';
import type { ConnectionChoice } from '../plan/connection-choice.ts';
import type { Endable, ProxyScope } from '../scope/proxy-scope.ts';
import { ByteHold } from '../socket/byte-hold.ts';
import { adoptSocket, type ByteTaker, resetSocket } from '../socket/socket-reads.ts';
import { ByteTunnel, type TunnelOwner } from '../tunnel/byte-tunnel.ts';
import { ConnectionLease } from '../tunnel/connection-lease.ts';
import { ConnectionReport } from '../tunnel/connection-report.ts';
import { connectFailure } from '../upstream/connect-failure.ts';
import { UpstreamConnection, type UpstreamUser } from '../upstream/upstream-connection.ts';
import type { PeerAddress } from './entrance-owner.ts';

/** Who keeps a list of relays. */
export interface RelayOwner {
  onRelayClosed(relay: EntranceRelay): void;
}

export class EntranceRelay implements ByteTaker, Endable, UpstreamUser, TunnelOwner {
  readonly report: ConnectionReport;
  readonly #scope: ProxyScope;
  readonly #owner: RelayOwner;
  readonly socket: Socket;
  readonly #lease: ConnectionLease;
  readonly #hold = new ByteHold();
  #upstream: UpstreamConnection | undefined;
  #tunnel: ByteTunnel | undefined;
  #hasEnded = false;
  #isFull = false;
  #isOver = false;

  /** Call `begin` or `refuse` next. */
  constructor(
    scope: ProxyScope,
    owner: RelayOwner,
    accepted: Socket,
    choice: ConnectionChoice,
    source: PeerAddress | undefined,
  ) {
    this.#scope = scope;
    this.#owner = owner;
    this.report = new ConnectionReport(scope, 'outbound', scope.clock.now());
    this.report.from(accepted);
    if (source !== undefined) {
      this.report.record.peerAddress = source.address;
      this.report.record.peerPort = source.port;
    }
    this.socket = adoptSocket(accepted, this, scope.sockets);
    this.#lease = new ConnectionLease(scope, scope.outbound, this, choice);
    scope.outbound.downstreamOpen++;
    scope.outbound.downstreamTotal++;
  }

  /** Bytes that wait to be sent upstream. */
  get requestHeldBytes(): number {
    return this.#tunnel?.requestHeldBytes ?? this.#hold.length;
  }

  /** Dials; `said` is what the downstream has said so far, `hello` what it asks for. */
  begin(hello: ClientHelloReader, said: Buffer): void {
    this.#describe(hello);
    this.#hold.append(said, 0, said.length);
    this.socket.on('end', () => this.#guard(() => this.#onEnded()));
    this.socket.on('error', () => undefined);
    this.socket.on('close', () => this.#guard(() => this.#onGone()));
    this.#dial();
  }

  /** In place of `begin`: nobody is dialled. */
  refuse(why: Failure, hello: ClientHelloReader): void {
    this.#describe(hello);
    this.#cut(why);
  }

  onBytes(chunk: Buffer): void {
    if (this.#tunnel !== undefined) {
      this.#tunnel.onBytes(chunk);
      return;
    }
    if (this.#isOver) return;
    this.#hold.append(chunk, 0, chunk.length);
    if (this.#hold.length < this.#scope.sockets.heldBytesMax || this.#isFull) return;
    this.#isFull = true;
    this.socket.pause();
  }

  onUpstreamConnected(): void {
    this.report.connected(this.#upstream!);
    const ends = { downstream: this.socket, upstream: this.#upstream! };
    const { opaqueIdleMs } = this.#scope.limits;
    if (this.#isFull) this.socket.resume();
    this.#scope.outbound.downstreamOpen--;
    this.#tunnel = new ByteTunnel(
      this.#scope,
      ends,
      this.report,
      this,
      opaqueIdleMs,
      this.#hold.view(),
    );
    this.#hold.clear();
    if (this.#hasEnded) this.#tunnel.onDownstreamEnded();
  }

  /** A server that speaks before it is connected: the tunnel is there by then. */
  onUpstreamBytes(chunk: Buffer): void {
    this.#tunnel?.onUpstreamBytes(chunk);
  }

  onUpstreamDrained(): void {}

  onUpstreamEnded(): void {
    this.#tunnel?.onUpstreamEnded();
  }

  onUpstreamLost(code: string): void {
    this.report.lost(this.#upstream!);
    this.#upstream = undefined;
    this.#onUnreached(connectFailure(code));
  }

  onConnectTimeout(): void {
    this.report.lost(this.#upstream!);
    this.#upstream?.destroy(true);
    this.#upstream = undefined;
    this.#onUnreached(failure['connect-timeout']);
  }

  onTunnelClosed(): void {
    this.#isOver = true;
    this.#lease.end();
    this.#owner.onRelayClosed(this);
  }

  /** Ends at once, by RST on both sides. */
  destroy(): void {
    if (this.#tunnel !== undefined) this.#tunnel.destroy();
    else this.#cut(undefined);
  }

  #describe({ serverName, alpn }: ClientHelloReader): void {
    this.report.hello(serverName, alpn);
    this.report.record.authority = serverName;
    this.report.detected(Detected.Tls, DetectedBy.Declared);
  }

  #dial(): void {
    const atMs = this.#scope.clock.now();
    const dialled = this.#lease.dial();
    if (dialled instanceof UpstreamConnection) {
      this.#upstream = dialled;
      this.report.dialled(atMs, this.#lease);
    } else this.#onUnreached(dialled);
  }

  #onUnreached(why: Failure): void {
    if (this.#lease.mayDialAgain) this.#dial();
    else this.#cut(why);
  }

  #onEnded(): void {
    if (this.#tunnel === undefined) this.#hasEnded = true;
  }

  #onGone(): void {
    if (this.#tunnel === undefined) this.#cut(failure['client-gone']);
  }

  #cut(what: Failure | undefined): void {
    if (this.#isOver) return;
    this.#isOver = true;
    this.#scope.outbound.downstreamOpen--;
    this.#upstream?.destroy(true);
    this.#lease.end();
    resetSocket(this.socket);
    this.#hold.clear();
    this.#owner.onRelayClosed(this);
    this.report.finish(what);
  }

  #guard(call: () => void): void {
    try {
      call();
    } catch (error) {
      this.#scope.containBug(this, error);
    }
  }
}
