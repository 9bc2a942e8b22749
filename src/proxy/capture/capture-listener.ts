/**
 * The listener that the kernel redirects one direction's connections to: 15001 out, 15006 in.
 *
 *   accept ─► original destination ─┬─ the sentinel: it has done its work
 *                                   ├─ unreadable, or our own address and port: closed, counted
 *                                   ├─ no table yet: parked
 *                                   ├─ its port ends TLS here: handshake, then HTTP/1.1
 *                                   └─ else: CapturedConnection finds out what is spoken
 *
 *   Parking ──the first table──► Open ──the proxy drains──► Retired
 *
 * Everything about a connection follows from its destination's port and the plans of the moment.
 */

import { isIP, type Socket } from 'node:net';
import { KEEP_PORT } from '../../model/known-ports.ts';
import type { Direction } from '../../model/routing-table.ts';
import { DownstreamConnection } from '../exchange/downstream-connection.ts';
import type { UpgradedConnection } from '../exchange/upgrade-switch.ts';
import { deafTaker, MeshGate, PushBack } from '../mesh/mesh-gate.ts';
import { type MeshPeer, setMeshPeer } from '../mesh/mesh-peer.ts';
import type { MeshServer } from '../mesh/mesh-server.ts';
import { Passthrough } from '../plan/passthrough.ts';
import type { CapturePlans, ListenerPlan } from '../plan/plan.ts';
import { AcceptSocket, type ListenError } from '../scope/accept-socket.ts';
import type { CaptureOptions, ProxyScope } from '../scope/proxy-scope.ts';
import { WarningLimit } from '../scope/warning-limit.ts';
import type { OriginalDestination } from '../socket/original-destination.ts';
import { plainAddress, printAddress } from '../socket/print-address.ts';
import {
  type Arrival,
  arrivalOf,
  type ByteTaker,
  type ReadSocket,
  resetSocket,
} from '../socket/socket-reads.ts';
import { readSecure } from '../tls/tls-server.ts';
import { CaptureOwner } from './capture-owner.ts';
import { CapturedConnection } from './captured-connection.ts';
import { Parking } from './parking.ts';
import type { Family, Sentinel } from './sentinel.ts';

/** Outbound is redirected to loopback; inbound to the address of the interface it came in by. */
const addresses: Readonly<Record<Direction, readonly string[]>> = {
  outbound: ['127.0.0.1', '::1'],
  inbound: ['::', '0.0.0.0'],
};

/** What listening answers on a machine without IPv6. */
const noFamily = new Set(['EAFNOSUPPORT', 'EADDRNOTAVAIL', 'EPROTONOSUPPORT']);

/** What the capture listeners of one proxy share. */
export interface CaptureContext {
  readonly options: CaptureOptions;
  readonly sentinel: Sentinel;
  /** Undefined where this workload has no identity. */
  readonly meshServer: MeshServer | undefined;
  /** The capture listeners of this proxy. */
  readonly listeners: () => readonly CaptureListener[];
}

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
  /** Connections that have switched protocols. */
  readonly tunnels = new Set<UpgradedConnection>();
  /** Inbound connections that may yet be mutual TLS of the mesh. */
  readonly gates = new Set<MeshGate>();
  readonly #scope: ProxyScope;
  readonly #context: CaptureContext;
  readonly #warnings: WarningLimit;
  /** Until there is a table. */
  #parking: Parking | undefined;
  #sockets: AcceptSocket[] = [];

  constructor(
    scope: ProxyScope,
    context: CaptureContext,
    direction: Direction,
    plans: CapturePlans,
  ) {
    this.#scope = scope;
    this.#context = context;
    this.direction = direction;
    this.name = `capture|${direction}`;
    this.plans = plans;
    this.passthrough = new Passthrough(scope, direction);
    this.#warnings = new WarningLimit(scope);
    this.#parking = new Parking(scope, scope.countsOf(direction));
    this.port = context.options.ports[direction];
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

  /** Nothing leaves it yet: there is no table. */
  get isParking(): boolean {
    return this.#parking !== undefined;
  }

  /** What comes is taken at once. */
  get isOpen(): boolean {
    return this.#parking === undefined && !this.isRetired;
  }

  /** Whose connections it takes. */
  get families(): readonly Family[] {
    return this.#sockets.flatMap(({ address: bound }): Family[] => {
      if (bound === undefined) return [];
      if (bound.address === '::') return ['v4', 'v6'];
      return [bound.address.includes(':') ? 'v6' : 'v4'];
    });
  }

  /** Opens the sockets of both families, or of the one that this machine has. */
  async listen(): Promise<ListenError | undefined> {
    const port = this.#context.options.ports[this.direction];
    for (const address of addresses[this.direction]) {
      // `::` takes both families.
      const family = address === '::' ? 0 : isIP(address);
      const socket = new AcceptSocket(
        this.#scope,
        this.name,
        (arrival) => this.#accept(arrival, family),
        (arrival) => this.#isSentinel(this.#destinationOf(arrival, family)),
      );
      const error = await socket.listen(address, port);
      if (error === undefined) {
        socket.keepUrgentData();
        this.#sockets.push(socket);
      } else if (!noFamily.has(error.code)) {
        await Promise.all(this.#sockets.map((opened) => opened.close()));
        this.#sockets = [];
        return error;
      }
      // A port that the system chose cannot be had twice.
      if (error === undefined && (address === '::' || port === 0)) break;
    }
    if (this.#sockets.length > 0) {
      if (this.isRetired) await this.retire();
      this.port = this.address.port;
      return undefined;
    }
    return { listener: this.name, address: '', port, code: 'EADDRNOTAVAIL' };
  }

  /** The plans of a table hold: what has come until now goes where they say. */
  follow(plans: CapturePlans): void {
    this.plans = plans;
    const parking = this.#parking;
    if (this.isRetired) return;
    this.#parking = undefined;
    parking?.leave((accepted, destination) => this.#take(arrivalOf(accepted), destination));
  }

  /** Takes what has come, accepts nothing more; open connections finish what is under way. */
  async retire(): Promise<void> {
    this.isRetired = true;
    await Promise.all(this.#sockets.map((socket) => socket.close()));
    this.#parking?.reset();
    for (const connection of this.connections) connection.retire();
    for (const connection of this.captured) connection.retire();
    for (const gate of this.gates) gate.retire();
  }

  /** There are other modes: what is under way unread and may not be any more is cut. */
  endRefused(): void {
    for (const connection of this.captured) connection.endRefused();
    for (const tunnel of this.tunnels) tunnel.endRefused();
  }

  /** Ends every connection at once. */
  destroyConnections(): void {
    this.#parking?.reset();
    for (const connection of this.connections) connection.destroy();
    for (const connection of this.captured) connection.destroy();
    for (const tunnel of this.tunnels) tunnel.destroy();
    for (const gate of this.gates) gate.destroy();
  }

  /** The plan for connections to `port`, undefined when no listener is for it. */
  planFor(port: number): ListenerPlan | undefined {
    return this.plans[this.direction].get(port);
  }

  /** Takes a call of this pod to itself; `destination` is an address of the pod. */
  takeLocal(accepted: Socket, destination: OriginalDestination): void {
    if (!this.isOpen) {
      resetSocket(accepted);
      return;
    }
    this.#scope.accepted++;
    try {
      const peer = this.#context.meshServer?.self;
      if (peer !== undefined) setMeshPeer(accepted, peer);
      const owner = new CaptureOwner(this.#scope, this, destination, peer);
      this.captured.add(new CapturedConnection(this.#scope, owner, arrivalOf(accepted)));
    } catch (error) {
      this.#scope.containBug(accepted, error);
    }
  }

  #accept(arrival: Arrival, family: number): void {
    const destination = this.#destinationOf(arrival, family);
    if (this.#isSentinel(destination)) arrival.socket.destroy();
    else if (destination === undefined || this.#isOurs(destination, arrival)) {
      this.#refuse(arrival.socket, destination);
    } else if (this.#parking === undefined) this.#take(arrival, destination);
    else this.#parking.park(arrival.socket, destination);
  }

  #destinationOf(arrival: Arrival, family: number): OriginalDestination | undefined {
    return this.#context.options.originalDestination.read(arrival, family);
  }

  #isSentinel(destination: OriginalDestination | undefined): boolean {
    return destination !== undefined && this.#context.sentinel.takes(destination, this.direction);
  }

  #take(arrival: Arrival, destination: OriginalDestination): void {
    const owner = new CaptureOwner(this.#scope, this, destination);
    const { meshServer } = this.#context;
    const { inboundModes } = this.#scope;
    if (meshServer === undefined || this.direction !== 'inbound') this.#read(owner, arrival);
    else if (inboundModes.of(destination.port) === 'disable') {
      // It takes the others only for now: whoever asks what STRICT would break has to hear of them.
      const { remoteAddress } = arrival.socket;
      const isKeep = destination.port === KEEP_PORT;
      if (!isKeep) this.#scope.notePlaintext(plainAddress(remoteAddress ?? ''), destination.port);
      this.#read(owner, arrival);
    } else this.gates.add(new MeshGate(this.#scope, meshServer, owner, arrival.socket));
  }

  /** One that nobody has read from; what gets its bytes is undefined while TLS has them. */
  #read(owner: CaptureOwner, arrival: Arrival): ByteTaker | undefined {
    const { port } = owner;
    if (port === KEEP_PORT && this.direction === 'inbound') {
      // Nobody listens there: what is no keep message is refused like a call of any such port.
      return this.#readHttp(owner, arrival.socket);
    }
    const tls = this.planFor(port)?.tls;
    if (tls !== undefined) {
      tls.accept(arrival.socket, (secure) => this.#readHttp(owner, secure, readSecure));
      return undefined;
    }
    const connection = new CapturedConnection(this.#scope, owner, arrival);
    this.captured.add(connection);
    return connection;
  }

  #readHttp(owner: CaptureOwner, socket: Socket, read?: ReadSocket): DownstreamConnection {
    const connection = new DownstreamConnection(this.#scope, owner, socket, read);
    this.connections.add(connection);
    return connection;
  }

  /** No TLS of the mesh: as if no gate had been there. */
  takePlain(owner: CaptureOwner, gate: MeshGate, accepted: Socket): ByteTaker {
    this.gates.delete(gate);
    const arrival = arrivalOf(accepted);
    if (this.planFor(owner.port)?.tls === undefined) return this.#read(owner, arrival)!;
    // TLS that ends here is nobody's identity.
    if (owner.isStrict) {
      resetSocket(accepted);
      return deafTaker;
    }
    return new PushBack(accepted, () => this.#read(owner, arrival));
  }

  /** One that was taken as plain before it said `chunk`, which begins like a ClientHello. */
  takeAgain(owner: CaptureOwner, accepted: Socket, chunk: Buffer): void {
    const gate = new MeshGate(this.#scope, this.#context.meshServer!, owner, accepted);
    this.gates.add(gate);
    gate.onBytes(chunk);
  }

  /** What is spoken inside is found out as it is outside. */
  takeSecure(owner: CaptureOwner, gate: MeshGate, secure: Socket, peer: MeshPeer): void {
    this.gates.delete(gate);
    const known = new CaptureOwner(this.#scope, this, owner.destination, peer);
    if (owner.port === KEEP_PORT) this.#readHttp(known, secure);
    else {
      const arrival = { descriptor: -1, socket: secure };
      this.captured.add(new CapturedConnection(this.#scope, known, arrival));
    }
  }

  /**
   * A direct hit reads as one of our ports at an address of this pod: sending it on would be a loop.
   * The same port of another host is somebody else's service.
   */
  #isOurs({ address, port }: OriginalDestination, arrival: Arrival): boolean {
    const { listeners, options } = this.#context;
    if (!listeners().some((each) => each.port === port)) return false;
    return (
      isLoopback(address) ||
      options.ownAddresses.includes(address) ||
      plainAddress(arrival.socket.localAddress ?? '') === address
    );
  }

  #refuse(accepted: Socket, destination: OriginalDestination | undefined): void {
    this.#scope.counts.refusedCaptures++;
    this.#context.sentinel.misread(destination, this.direction);
    const peer = plainAddress(accepted.remoteAddress ?? 'a peer that is gone');
    const why =
      destination === undefined
        ? 'its original destination cannot be read: it was not redirected'
        : `it was sent to ${printAddress(destination.address, destination.port)}, which is this proxy`;
    accepted.destroy();
    this.#warnings.warn(`${this.name}: a connection from ${peer} was closed, ${why}`);
  }
}

/** @param address as `node:net` prints it, IPv4-mapped ones as IPv4 */
export function isLoopback(address: string): boolean {
  return address.startsWith('127.') || address === '::1';
}
