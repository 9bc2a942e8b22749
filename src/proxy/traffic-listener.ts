/**
 * One listener of the table that is bound, and the connections that it accepted.
 *
 * It keeps its socket across tables as long as its name stays. When it goes, or when the proxy
 * drains, it stops accepting and its connections end after the answer that they owe.
 */

import type { Socket } from 'node:net';
import { AcceptSocket, type ListenError } from './accept-socket.ts';
import { type ConnectionOwner, DownstreamConnection } from './downstream-connection.ts';
import type { BackendPlan, ListenerPlan } from './plan.ts';
import type { ProxyScope } from './proxy-scope.ts';
import { readSecure } from './tls-server.ts';

export class TrafficListener implements ConnectionOwner {
  plan: ListenerPlan;
  isRetired = false;
  /** Nothing was going anywhere before it came here. */
  readonly passthrough: BackendPlan | undefined = undefined;
  readonly connections = new Set<DownstreamConnection>();
  readonly #scope: ProxyScope;
  readonly #socket: AcceptSocket;

  constructor(scope: ProxyScope, plan: ListenerPlan) {
    this.#scope = scope;
    this.plan = plan;
    this.#socket = new AcceptSocket(scope, plan.listener.name, (accepted) =>
      this.#accept(accepted),
    );
  }

  get name(): string {
    return this.plan.listener.name;
  }

  /** The bound address; port 0 until `listen` has succeeded. */
  get address(): { address: string; port: number } {
    return this.#socket.address ?? { address: this.plan.listener.address, port: 0 };
  }

  get isListening(): boolean {
    return this.#socket.isListening;
  }

  /** Opens the socket; undefined when that worked. */
  listen(): Promise<ListenError | undefined> {
    const { address, port } = this.plan.listener;
    return this.#socket.listen(address, port);
  }

  /** Accepts nothing more; open connections finish what is under way. */
  retire(): void {
    this.isRetired = true;
    this.#socket.close();
    for (const connection of this.connections) connection.retire();
  }

  /** Ends every connection at once. */
  destroyConnections(): void {
    for (const connection of this.connections) connection.destroy();
  }

  onConnectionClosed(connection: DownstreamConnection): void {
    this.connections.delete(connection);
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
