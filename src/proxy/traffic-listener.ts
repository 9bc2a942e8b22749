/**
 * One listening socket and the connections that it accepted.
 *
 * It keeps its socket across tables as long as its name stays. When it goes, or when the proxy
 * drains, it stops accepting and its connections end after the answer that they owe.
 */

import { createServer, type Server, type Socket } from 'node:net';
import { type ConnectionOwner, DownstreamConnection } from './downstream-connection.ts';
import type { ListenerPlan } from './plan.ts';
import type { ProxyScope } from './proxy-scope.ts';

/** A listener that could not be opened; everything else goes on. */
export interface ListenError {
  readonly listener: string;
  readonly address: string;
  readonly port: number;
  /** The system's word: `EADDRINUSE`. */
  readonly code: string;
  /** One line for a person. */
  readonly message: string;
}

const backlog = 4_096;

export class TrafficListener implements ConnectionOwner {
  plan: ListenerPlan;
  isRetired = false;
  readonly connections = new Set<DownstreamConnection>();
  readonly #scope: ProxyScope;
  readonly #server: Server;
  /** When the log was last told that accepting fails. */
  #warnedMs = Number.NEGATIVE_INFINITY;

  constructor(scope: ProxyScope, plan: ListenerPlan) {
    this.#scope = scope;
    this.plan = plan;
    const options = { allowHalfOpen: true, noDelay: true, pauseOnConnect: true };
    this.#server = createServer(options, (accepted) => this.#accept(accepted));
  }

  /** The bound address; port 0 until `listen` has succeeded. */
  get address(): { address: string; port: number } {
    const bound = this.#server.address();
    if (bound === null || typeof bound === 'string') {
      return { address: this.plan.listener.address, port: 0 };
    }
    return { address: bound.address, port: bound.port };
  }

  get isListening(): boolean {
    return this.#server.listening;
  }

  /** Opens the socket; undefined when that worked. */
  listen(): Promise<ListenError | undefined> {
    const { name, address, port } = this.plan.listener;
    return new Promise((resolve) => {
      const onError = (error: NodeJS.ErrnoException) => {
        const code = error.code ?? 'UNKNOWN';
        const message = `cannot listen on ${address}:${port} (${name}): ${explain(code)}`;
        resolve({ listener: name, address, port, code, message });
      };
      this.#server.once('error', onError);
      this.#server.listen({ host: address, port, backlog }, () => {
        this.#server.removeListener('error', onError);
        this.#server.on('error', (error: NodeJS.ErrnoException) => this.#onAcceptFailed(error));
        resolve(undefined);
      });
    });
  }

  /** Accepts nothing more; open connections finish what is under way. */
  retire(): void {
    this.isRetired = true;
    if (this.#server.listening) this.#server.close();
    for (const connection of this.connections) connection.retire();
  }

  onConnectionClosed(connection: DownstreamConnection): void {
    this.connections.delete(connection);
  }

  #accept(accepted: Socket): void {
    const { inbound, outbound, limits, counts } = this.#scope;
    const open = inbound.downstreamOpen + outbound.downstreamOpen;
    if (open >= limits.connectionsMax || this.isRetired) {
      counts.refusedConnections++;
      accepted.destroy();
      return;
    }
    this.connections.add(new DownstreamConnection(this.#scope, this, accepted));
  }

  /**
   * The kernel could not hand over a connection. Without descriptors (EMFILE) it does not come to
   * this: libuv keeps one in reserve to accept and close what waits, at no cost while none is free
   * (measured with `ulimit -n 64` and 200 connections: 0 CPU ticks in 2 s).
   */
  #onAcceptFailed(error: NodeJS.ErrnoException): void {
    const { counts, log, clock, limits } = this.#scope;
    counts.acceptFailures++;
    const now = clock.now();
    if (now < this.#warnedMs + limits.acceptPauseMs) return;
    this.#warnedMs = now;
    log('warn', `accept failed on ${this.plan.listener.name}: ${error.code ?? error.message}`);
  }
}

/** What a person can do about it. */
function explain(code: string): string {
  switch (code) {
    case 'EADDRINUSE':
      return 'another program listens there (EADDRINUSE)';
    case 'EACCES':
      return 'the port needs more rights (EACCES)';
    case 'EADDRNOTAVAIL':
      return 'this machine has no such address (EADDRNOTAVAIL)';
    default:
      return code;
  }
}
