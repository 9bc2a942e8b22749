/**
 * A listening socket: bound once, hands over what it accepts, unread.
 *
 * It knows nothing of what is spoken. Whether the process may take one more connection is decided
 * here, so that every kind of listener keeps the same limit.
 */

import { createServer, type Server } from 'node:net';
import { countSockets, SocketState } from '../socket/port-holders.ts';
import { type Arrival, arrivalOf, takeArrivals } from '../socket/socket-reads.ts';
import { hearAll, stopConnects } from '../socket/stop-connects.ts';
import { keepUrgentData } from '../socket/urgent-data.ts';
import type { ProxyScope } from './proxy-scope.ts';

/** A listener that is not as the table wants it; everything else goes on. */
export interface ListenError {
  readonly listener: string;
  readonly address: string;
  readonly port: number;
  /** The system's word: `EADDRINUSE`. */
  readonly code: string;
  /**
   * It could be had, but serves what it did before until this other listener is open, to which
   * something of it moves.
   */
  readonly waitsFor?: string;
}

const backlog = 4_096;

export class AcceptSocket {
  readonly #scope: ProxyScope;
  readonly #server: Server;
  #name: string;
  #onAccepted: (arrival: Arrival) => void;
  readonly #onRefused: (arrival: Arrival) => void;
  #isClosed = false;
  /** No connection begins any more: what comes had begun before. */
  #isDoorClosed = false;
  #closing: Promise<void> | undefined;
  /** Connections that the kernel handed over, whatever became of them. */
  #taken = 0;
  /** When the log was last told that accepting fails. */
  #warnedMs = Number.NEGATIVE_INFINITY;

  /**
   * `name` is for people; `onAccepted` gets a connection that nobody has read from, `onRefused` one
   * that there is no room for, before it is closed.
   */
  constructor(
    scope: ProxyScope,
    name: string,
    onAccepted: (arrival: Arrival) => void,
    onRefused: (arrival: Arrival) => void = () => undefined,
  ) {
    this.#scope = scope;
    this.#name = name;
    this.#onAccepted = onAccepted;
    this.#onRefused = onRefused;
    const options = { allowHalfOpen: true, noDelay: true, pauseOnConnect: true };
    this.#server = createServer(options, (accepted) => this.#take(arrivalOf(accepted)));
  }

  /** The bound address; undefined until `listen` has succeeded, and after `close`. */
  get address(): { address: string; port: number } | undefined {
    const bound = this.#server.address();
    if (bound === null || typeof bound === 'string') return undefined;
    return { address: bound.address, port: bound.port };
  }

  get isListening(): boolean {
    return this.#server.listening;
  }

  /** Opens the socket; undefined when that worked. */
  listen(address: string, port: number): Promise<ListenError | undefined> {
    return new Promise((resolve) => {
      const onError = (error: NodeJS.ErrnoException) => {
        const code = error.code ?? 'UNKNOWN';
        resolve({ listener: this.#name, address, port, code });
      };
      this.#server.once('error', onError);
      this.#server.listen({ host: address, port, backlog }, () => {
        this.#server.removeListener('error', onError);
        this.#server.on('error', (error: NodeJS.ErrnoException) => this.#onAcceptFailed(error));
        takeArrivals(this.#server, this.#scope.sockets, (arrival) => this.#take(arrival));
        resolve(undefined);
      });
    });
  }

  /** Connections that are relayed unread lose no byte that their peer called urgent. */
  keepUrgentData(): void {
    keepUrgentData(this.#server);
  }

  /** Another listener has what is accepted from now on: there is no moment without one. */
  handTo(name: string, onAccepted: (arrival: Arrival) => void): void {
    this.#name = name;
    this.#onAccepted = onAccepted;
  }

  /**
   * Takes what has come until now, then accepts nothing more; what was accepted is its owner's.
   * Resolves when the address is free, which takes `acceptQuietMs` when nobody comes.
   */
  close(): Promise<void> {
    this.#closing ??= this.#close();
    return this.#closing;
  }

  async #close(): Promise<void> {
    if (this.#server.listening) {
      this.#isDoorClosed = stopConnects(this.#server);
      await this.#takeWaiting();
    }
    this.#isClosed = true;
    if (this.#server.listening) this.#server.close();
  }

  /** What the kernel has accepted for us, or is about to, would be reset with the socket. */
  async #takeWaiting(): Promise<void> {
    const { clock, limits } = this.#scope;
    const until = clock.now() + limits.acceptLastMs;
    let quietSince = clock.now();
    for (;;) {
      const before = this.#taken;
      const isOver = clock.now() >= until;
      const isQuiet = clock.now() >= quietSince + limits.acceptQuietMs;
      const isAwaited = isQuiet && this.#isDoorClosed && (await this.#isAnyHalfOpen());
      await this.#turn();
      if (this.#taken !== before) quietSince = clock.now();
      else if (isOver || (isQuiet && !isAwaited)) return;
      // Where callers still come, somebody is turned away in the end.
      if (isOver && !this.#isDoorClosed) return;
    }
  }

  async #isAnyHalfOpen(): Promise<boolean> {
    const port = this.address?.port;
    if (port === undefined) return false;
    return ((await countSockets(port, SocketState.HalfOpen)) ?? 0) > 0;
  }

  /** Lets the sockets be heard. */
  async #turn(): Promise<void> {
    const { wakeUps } = this.#scope;
    // A timer runs before the sockets of its turn are heard, "after 0" follows them.
    for (const delayMs of [1, 0]) {
      await new Promise<void>((resolve) => {
        wakeUps.after(delayMs, resolve);
      });
    }
  }

  #take(arrival: Arrival): void {
    this.#taken++;
    if (this.#isDoorClosed) hearAll(arrival.socket);
    if (!this.#mayAccept()) {
      this.#onRefused(arrival);
      arrival.socket.destroy();
      return;
    }
    this.#scope.accepted++;
    try {
      this.#onAccepted(arrival);
    } catch (error) {
      this.#scope.containBug(arrival.socket, error);
    }
  }

  #mayAccept(): boolean {
    const { limits, counts } = this.#scope;
    if (this.#scope.openConnections() < limits.connectionsMax && !this.#isClosed) return true;
    counts.refusedConnections++;
    return false;
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
    log('warn', `accept failed on ${this.#name}: ${error.code ?? error.message}`);
  }
}
