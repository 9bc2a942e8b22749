/**
 * One listener of the table that is bound, and the connections that it accepted.
 *
 * It keeps its socket across tables as long as its name stays, and hands it to the listener that has
 * its address in the next table. When it goes, or when the proxy drains, it stops accepting and its
 * connections end after the answer that they owe.
 */

import type { Socket } from 'node:net';
import type { Direction } from '../model/routing-table.ts';
import { AcceptSocket, type ListenError } from './accept-socket.ts';
import type { DestinationPlan } from './capture-lookup.ts';
import { type ConnectionOwner, DownstreamConnection } from './downstream-connection.ts';
import type { BackendPlan, ListenerPlan } from './plan.ts';
import type { ProxyScope } from './proxy-scope.ts';
import { readSecure } from './tls-server.ts';
import type { UpgradedConnection } from './upgrade-switch.ts';

export class TrafficListener implements ConnectionOwner {
  plan: ListenerPlan;
  isRetired = false;
  /** Nothing was going anywhere before it came here. */
  readonly passthrough: BackendPlan | undefined = undefined;
  readonly isCaptured = false;
  readonly known: DestinationPlan | undefined = undefined;
  readonly isDenying = false;
  readonly connections = new Set<DownstreamConnection>();
  /** Connections that have switched protocols. */
  readonly tunnels = new Set<UpgradedConnection>();
  readonly #scope: ProxyScope;
  #socket: AcceptSocket | undefined;
  #port = 0;

  constructor(scope: ProxyScope, plan: ListenerPlan) {
    this.#scope = scope;
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

  /** No connection of any kind is left. */
  get isEmpty(): boolean {
    return this.connections.size + this.tunnels.size === 0;
  }

  get isListening(): boolean {
    return this.#socket?.isListening ?? false;
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
  }

  /** Ends every connection at once. */
  destroyConnections(): void {
    for (const connection of this.connections) connection.destroy();
    for (const tunnel of this.tunnels) tunnel.destroy();
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

  #accept(accepted: Socket): void {
    const { tls } = this.plan;
    if (tls === undefined) {
      this.connections.add(new DownstreamConnection(this.#scope, this, accepted));
      return;
    }
    tls.accept(accepted, (secure) => {
      this.connections.add(new DownstreamConnection(this.#scope, this, secure, readSecure));
    });
  }
}
