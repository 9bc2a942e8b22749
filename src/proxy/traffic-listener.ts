/**
 * One listener of the table that is bound, and the connections that it accepted.
 *
 * It keeps its socket across tables as long as its name stays, and hands it to the listener that has
 * its address in the next table. When it goes, or when the proxy drains, it stops accepting and its
 * connections end after the answer that they owe.
 */

import type { Socket } from 'node:net';
import type { Milliseconds } from '../base/clock.ts';
import type { Direction } from '../model/routing-table.ts';
import { type ConnectionOwner, DownstreamConnection } from './exchange/downstream-connection.ts';
import type { UpgradedConnection } from './exchange/upgrade-switch.ts';
import { EntranceDoor } from './gateway/entrance-door.ts';
import type { EntranceRelay } from './gateway/entrance-relay.ts';
import { deafTaker, type GateOwner, MeshGate, PushBack } from './mesh/mesh-gate.ts';
import type { MeshServer } from './mesh/mesh-server.ts';
import type { DestinationPlan } from './plan/capture-lookup.ts';
import type { BackendPlan, ListenerPlan } from './plan/plan.ts';
import { AcceptSocket, type ListenError } from './scope/accept-socket.ts';
import type { ProxyScope } from './scope/proxy-scope.ts';
import { plainAddress } from './socket/print-address.ts';
import { type ByteTaker, type ReadSocket, resetSocket } from './socket/socket-reads.ts';
import { readSecure } from './tls/tls-server.ts';

const noRelays: ReadonlySet<EntranceRelay> = new Set();

export class TrafficListener implements ConnectionOwner, GateOwner {
  plan: ListenerPlan;
  isRetired = false;
  /** Nothing was going anywhere before it came here. */
  readonly passthrough: BackendPlan | undefined = undefined;
  readonly isCaptured = false;
  readonly known: DestinationPlan | undefined = undefined;
  readonly isDenying = false;
  /** Of a gate: whoever says nothing is closed, for HTTP is asked for. */
  readonly passesSilent = false;
  readonly connections = new Set<DownstreamConnection>();
  /** Connections that have switched protocols. */
  readonly tunnels = new Set<UpgradedConnection>();
  /** Connections of which nothing is known yet. */
  readonly gates = new Set<MeshGate>();
  readonly #scope: ProxyScope;
  readonly #meshServer: MeshServer | undefined;
  #socket: AcceptSocket | undefined;
  #port = 0;
  /** Made when there is an entrance to keep. */
  #door: EntranceDoor | undefined;

  constructor(scope: ProxyScope, plan: ListenerPlan, meshServer: MeshServer | undefined) {
    this.#scope = scope;
    this.#meshServer = meshServer;
    this.plan = plan;
  }

  get name(): string {
    return this.plan.listener.name;
  }

  /** The bound address; port 0 until `listen` has succeeded. */
  get address(): { address: string; port: number } {
    return this.#socket?.address ?? { address: this.plan.listener.address, port: 0 };
  }

  /** Asked for by every request, so the system is asked once. */
  get port(): number {
    if (this.#port === 0) this.#port = this.address.port;
    return this.#port;
  }

  get generation(): number {
    return this.plan.generation;
  }

  get direction(): Direction {
    return this.plan.listener.direction;
  }

  /** Connections that are relayed unread: of which a gateway passes TLS through. */
  get captured(): ReadonlySet<EntranceRelay> {
    return this.#door?.relays ?? noRelays;
  }

  /** No connection of any kind is left. */
  get isEmpty(): boolean {
    if (this.#door?.isEmpty === false) return false;
    return this.connections.size + this.tunnels.size + this.gates.size === 0;
  }

  get isListening(): boolean {
    return this.#socket?.isListening ?? false;
  }

  /** Only mutual TLS of the mesh is taken. */
  get isStrict(): boolean {
    return this.direction === 'inbound' && this.#scope.inboundModes.isStrict(this.port);
  }

  silenceMsOf(): Milliseconds {
    return this.#scope.limits.headTimeoutMs;
  }

  /** Opens the socket; undefined when that worked. */
  listen(): Promise<ListenError | undefined> {
    const { address, port } = this.plan.listener;
    this.#port = 0;
    this.#socket = new AcceptSocket(this.#scope, this.name, ({ socket }) => this.#accept(socket));
    return this.#socket.listen(address, port);
  }

  /** Goes on with the socket of `old`, which accepts nothing more and is to be retired. */
  takeOver(old: TrafficListener): void {
    this.#socket = old.#socket;
    old.#socket = undefined;
    this.#socket?.handTo(this.name, ({ socket }) => this.#accept(socket));
  }

  /** Accepts nothing more until `listen` is called again; connections go on. */
  async leaveAddress(): Promise<void> {
    await this.#socket?.close();
  }

  /** Takes what has come, accepts nothing more; open connections finish what is under way. */
  async retire(): Promise<void> {
    this.isRetired = true;
    await this.#socket?.close();
    for (const connection of this.connections) connection.retire();
    for (const gate of this.gates) gate.retire();
  }

  /** There are other modes: tunnels that may not be any more are cut. */
  endRefused(): void {
    for (const tunnel of this.tunnels) tunnel.endRefused();
  }

  /** Ends every connection at once. */
  destroyConnections(): void {
    for (const connection of this.connections) connection.destroy();
    for (const tunnel of this.tunnels) tunnel.destroy();
    for (const gate of this.gates) gate.destroy();
    this.#door?.destroy();
  }

  /** Never asked for: nothing is denied here. */
  deniedDetail(): string {
    return '';
  }

  onConnectionClosed(connection: DownstreamConnection): void {
    this.connections.delete(connection);
  }

  onSwitched(connection: DownstreamConnection, tunnel: UpgradedConnection): void {
    this.connections.delete(connection);
    this.tunnels.add(tunnel);
  }

  onTunnelClosed(tunnel: UpgradedConnection): void {
    this.tunnels.delete(tunnel);
  }

  onPlain(gate: MeshGate, accepted: Socket): ByteTaker {
    this.gates.delete(gate);
    if (this.plan.tls === undefined) return this.#open(accepted);
    // Its own TLS is nobody's identity.
    if (this.isStrict) {
      resetSocket(accepted);
      return deafTaker;
    }
    return new PushBack(accepted, () => this.#acceptTls(accepted));
  }

  /** Never: `passesSilent` is false. */
  onSilent(gate: MeshGate, accepted: Socket): void {
    this.onPlain(gate, accepted);
  }

  onSecure(gate: MeshGate, secure: Socket): void {
    this.gates.delete(gate);
    this.#open(secure);
  }

  onGateClosed(gate: MeshGate): void {
    this.gates.delete(gate);
  }

  #accept(accepted: Socket): void {
    if (this.plan.entrance !== undefined) {
      this.#door ??= new EntranceDoor(this.#scope, this);
      this.#door.accept(accepted);
      return;
    }
    const meshServer = this.#meshServer;
    const { inboundModes } = this.#scope;
    const hasMesh = meshServer !== undefined && this.direction === 'inbound';
    if (hasMesh && inboundModes.of(this.port) !== 'disable') {
      this.gates.add(new MeshGate(this.#scope, meshServer, this, accepted));
      return;
    }
    if (hasMesh) this.#scope.notePlaintext(plainAddress(accepted.remoteAddress ?? ''), this.port);
    if (this.plan.tls === undefined) this.#open(accepted);
    else this.#acceptTls(accepted);
  }

  #acceptTls(accepted: Socket): void {
    this.plan.tls?.accept(accepted, (secure) => this.#open(secure, readSecure));
  }

  #open(socket: Socket, read?: ReadSocket): DownstreamConnection {
    const connection = new DownstreamConnection(this.#scope, this, socket, read);
    this.connections.add(connection);
    return connection;
  }
}
