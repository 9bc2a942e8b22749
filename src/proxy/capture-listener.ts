/**
 * The listener that the kernel redirects one direction's connections to: 15001 out, 15006 in.
 *
 *   accept ─► original destination ─┬─ unreadable, or our own address and port: closed, counted
 *                                   ├─ its port ends TLS here: handshake, then HTTP/1.1
 *                                   └─ else: CapturedConnection finds out what is spoken
 *
 * Everything about a connection follows from its destination's port and the plans of the moment.
 */

import type { Socket } from 'node:net';
import type { Direction } from '../model/routing-table.ts';
import { AcceptSocket, type ListenError } from './accept-socket.ts';
import { CapturedConnection } from './captured-connection.ts';
import { type ConnectionOwner, DownstreamConnection } from './downstream-connection.ts';
import type { OriginalDestination } from './original-destination.ts';
import { type OnwardEntry, Passthrough } from './passthrough.ts';
import type { BackendPlan, CapturePlans, ListenerPlan } from './plan.ts';
import { plainAddress, printAddress } from './print-address.ts';
import type { CaptureOptions, ProxyScope } from './proxy-scope.ts';
import { readSecure } from './tls-server.ts';
import { WarningLimit } from './warning-limit.ts';

/** Outbound is redirected to loopback; inbound to the address of the interface it came in by. */
const addresses: Readonly<Record<Direction, readonly string[]>> = {
  outbound: ['127.0.0.1', '::1'],
  inbound: ['::', '0.0.0.0'],
};

/** What listening answers on a machine without IPv6. */
const noFamily = new Set(['EAFNOSUPPORT', 'EADDRNOTAVAIL', 'EPROTONOSUPPORT']);

export class CaptureListener {
  plans: CapturePlans;
  isRetired = false;
  /** As bound, once it is. */
  port: number;
  readonly name: string;
  readonly direction: Direction;
  readonly passthrough: Passthrough;
  /** Those that speak HTTP; the others are in `captured`. */
  readonly connections = new Set<DownstreamConnection>();
  readonly captured = new Set<CapturedConnection>();
  readonly #scope: ProxyScope;
  readonly #options: CaptureOptions;
  readonly #warnings: WarningLimit;
  /** The capture listeners of this proxy, this one included. */
  readonly #siblings: () => readonly CaptureListener[];
  #sockets: AcceptSocket[] = [];

  constructor(
    scope: ProxyScope,
    options: CaptureOptions,
    direction: Direction,
    plans: CapturePlans,
    siblings: () => readonly CaptureListener[],
  ) {
    this.#scope = scope;
    this.#options = options;
    this.direction = direction;
    this.name = `capture|${direction}`;
    this.plans = plans;
    this.passthrough = new Passthrough(scope, direction);
    this.#warnings = new WarningLimit(scope);
    this.#siblings = siblings;
    this.port = options.ports[direction];
  }

  /** The first bound address; port 0 until `listen` has succeeded. */
  get address(): { address: string; port: number } {
    return this.#sockets[0]?.address ?? { address: addresses[this.direction][0]!, port: 0 };
  }

  /** Original destinations that are remembered. */
  get destinations(): number {
    return this.passthrough.size;
  }

  get generation(): number {
    return this.plans.others[this.direction].generation;
  }

  get isListening(): boolean {
    return this.#sockets.some((socket) => socket.isListening);
  }

  /** Opens the sockets of both families, or of the one that this machine has. */
  async listen(): Promise<ListenError | undefined> {
    const port = this.#options.ports[this.direction];
    for (const address of addresses[this.direction]) {
      const socket = new AcceptSocket(this.#scope, this.name, (accepted) => this.#accept(accepted));
      const error = await socket.listen(address, port);
      if (error === undefined) this.#sockets.push(socket);
      else if (!noFamily.has(error.code)) {
        await Promise.all(this.#sockets.map((opened) => opened.close()));
        this.#sockets = [];
        return error;
      }
      // `::` takes both families; a port that the system chose cannot be had twice.
      if (error === undefined && (address === '::' || port === 0)) break;
    }
    if (this.#sockets.length > 0) {
      if (this.isRetired) await this.retire();
      this.port = this.address.port;
      return undefined;
    }
    return { listener: this.name, address: '', port, code: 'EADDRNOTAVAIL' };
  }

  /** Takes what has come, accepts nothing more; open connections finish what is under way. */
  async retire(): Promise<void> {
    this.isRetired = true;
    await Promise.all(this.#sockets.map((socket) => socket.close()));
    for (const connection of this.connections) connection.retire();
    for (const connection of this.captured) connection.retire();
  }

  /** Ends every connection at once. */
  destroyConnections(): void {
    for (const connection of this.connections) connection.destroy();
    for (const connection of this.captured) connection.destroy();
  }

  /** The plan for connections to `port`, undefined when no listener is for it. */
  planFor(port: number): ListenerPlan | undefined {
    return this.plans[this.direction].get(port);
  }

  #accept(accepted: Socket): void {
    const destination = this.#options.originalDestination.read(accepted);
    if (destination === undefined || this.#isOurs(destination, accepted)) {
      this.#refuse(accepted, destination);
      return;
    }
    const owner = new CaptureOwner(this, destination);
    const tls = this.planFor(destination.port)?.tls;
    if (tls === undefined) {
      this.captured.add(new CapturedConnection(this.#scope, owner, accepted));
      return;
    }
    tls.accept(accepted, (secure) => {
      this.connections.add(new DownstreamConnection(this.#scope, owner, secure, readSecure));
    });
  }

  /**
   * A direct hit reads as one of our ports at an address of this pod: sending it on would be a loop.
   * The same port of another host is somebody else's service.
   */
  #isOurs({ address, port }: OriginalDestination, accepted: Socket): boolean {
    if (!this.#siblings().some((sibling) => sibling.port === port)) return false;
    return (
      isLoopback(address) ||
      this.#options.ownAddresses.includes(address) ||
      plainAddress(accepted.localAddress ?? '') === address
    );
  }

  #refuse(accepted: Socket, destination: OriginalDestination | undefined): void {
    this.#scope.counts.refusedCaptures++;
    const peer = plainAddress(accepted.remoteAddress ?? 'a peer that is gone');
    const why =
      destination === undefined
        ? 'its original destination cannot be read: it was not redirected'
        : `it was sent to ${printAddress(destination.address, destination.port)}, which is this proxy`;
    accepted.destroy();
    this.#warnings.warn(`${this.name}: a connection from ${peer} was closed, ${why}`);
  }
}

function isLoopback(address: string): boolean {
  return address.startsWith('127.') || address === '::1';
}

/** What the connections to one destination need to know; one for each connection. */
export class CaptureOwner implements ConnectionOwner {
  readonly destination: OriginalDestination;
  readonly #listener: CaptureListener;
  #onward: OnwardEntry | undefined;

  constructor(listener: CaptureListener, destination: OriginalDestination) {
    this.#listener = listener;
    this.destination = destination;
  }

  get direction(): Direction {
    return this.#listener.direction;
  }

  get port(): number {
    return this.destination.port;
  }

  get isRetired(): boolean {
    return this.#listener.isRetired;
  }

  /**
   * Whether HTTP is expected: a listener exists for the port. That the address is a service's is not
   * asked: its cluster address is in no table, only its name is.
   */
  get isDeclared(): boolean {
    return this.#listener.planFor(this.destination.port) !== undefined;
  }

  get plan(): ListenerPlan {
    const { plans, direction } = this.#listener;
    return this.#listener.planFor(this.destination.port) ?? plans.others[direction];
  }

  /** Looked up again when it has been forgotten, and once a second so that it is not. */
  get passthrough(): BackendPlan {
    const { passthrough } = this.#listener;
    const known = this.#onward;
    if (known !== undefined && passthrough.isFresh(known)) return known.backend;
    const { address, port } = this.destination;
    this.#onward = passthrough.to(address, port);
    return this.#onward.backend;
  }

  onConnectionClosed(connection: DownstreamConnection): void {
    this.#listener.connections.delete(connection);
  }

  /** Detection has found HTTP. */
  onHttp(captured: CapturedConnection, connection: DownstreamConnection): void {
    this.#listener.captured.delete(captured);
    this.#listener.connections.add(connection);
  }

  onCapturedClosed(captured: CapturedConnection): void {
    this.#listener.captured.delete(captured);
  }
}
