/**
 * The time between the dial of a secure upstream connection and the moment when its peer is known.
 *
 *   dial ──TCP──► ClientHello ──► handshake ──► chain and id of the peer ──► trusted: the socket sends
 *
 * One for a connection, thrown away by nobody: it also remembers what the handshake came to.
 */

import type { Milliseconds } from '../../base/clock.ts';
import type { ProxyScope } from '../scope/proxy-scope.ts';
import type { SecureSocket } from '../socket/secure-socket.ts';
import { handshakeProblem, isAlert, type TlsProblem } from '../tls/tls-problem.ts';
import type { TlsDial, TlsSession } from './upstream-tls.ts';

/** Index of `tlsVersionWords` (telemetry/record/exchange-record.ts). */
const versions: readonly string[] = ['', 'TLSv1.2', 'TLSv1.3'];

/** Who dialled. */
export interface HandshakeOwner {
  /** TCP is there; the handshake begins. */
  onHandshake(): void;
  onSecured(): void;
  /** What has come over the connection, as the socket gives it. */
  readonly hasHeard: boolean;
  /** The endpoint, as people write it. */
  readonly where: string;
}

export class UpstreamHandshake {
  readonly generation: number;
  /** How long it took, microseconds; -1: it is not over. */
  tlsUs = -1;
  /** Index of `tlsVersionWords`. */
  version = 0;
  problem: TlsProblem | undefined;
  /** When the peer's certificate ends, by the scope's clock; Infinity: it is not known yet, or never. */
  peerUntilMs: Milliseconds = Number.POSITIVE_INFINITY;
  readonly #scope: ProxyScope;
  readonly #socket: SecureSocket;
  readonly #dial: TlsDial;
  readonly #offered: TlsSession | undefined;
  readonly #owner: HandshakeOwner;
  /** When TCP was there; -1: it is not. */
  #startMs: Milliseconds = -1;

  constructor(scope: ProxyScope, socket: SecureSocket, dial: TlsDial, owner: HandshakeOwner) {
    this.generation = dial.generation;
    this.#scope = scope;
    this.#socket = socket;
    this.#dial = dial;
    this.#offered = dial.session;
    this.#owner = owner;
    socket.on('connect', () => this.#begin());
    socket.on('secure', () => {
      try {
        this.#judge();
      } catch (error) {
        scope.containBug(socket, error);
      }
    });
  }

  /** TCP is there, the peer is not known. */
  get isUnderWay(): boolean {
    return this.#startMs >= 0 && this.tlsUs < 0;
  }

  /** The cause that an error of the socket is, or its own code where it is not about TLS. */
  codeOf(error: NodeJS.ErrnoException): string {
    const code = error.code ?? error.message;
    const isLateRefusal = this.tlsUs >= 0 && !this.#owner.hasHeard && isAlert(code);
    if (this.isUnderWay || isLateRefusal) this.#note(handshakeProblem(error));
    return this.problem?.failure.cause ?? code;
  }

  /** The peer has gone, or the time is over, while it was under way. */
  fail(problem: TlsProblem): void {
    this.#note(problem);
    this.#socket.destroy();
  }

  /** The first that goes wrong is what it is about; somebody will want to know. */
  #note(problem: TlsProblem): void {
    if (this.problem !== undefined) return;
    this.problem = problem;
    const { where } = this.#owner;
    const text = `outbound: ${where}: ${problem.failure.cause}: ${problem.detail}`;
    this.#scope.tlsProblems.warn(where, text);
  }

  #begin(): void {
    this.#startMs = this.#scope.clock.now();
    this.#owner.onHandshake();
  }

  #judge(): void {
    const judgement = this.#dial.judge(this.#socket, this.#offered);
    if (typeof judgement !== 'number') {
      this.fail(judgement);
      return;
    }
    this.tlsUs = Math.max(0, Math.round((this.#scope.clock.now() - this.#startMs) * 1_000));
    this.version = Math.max(0, versions.indexOf(this.#socket.getProtocol() ?? ''));
    this.peerUntilMs = judgement - this.#scope.clock.epochMs;
    this.#socket.takeSessions((bytes) => {
      this.#dial.session = { bytes, notAfterMs: judgement };
    });
    this.#socket.trust();
    this.#owner.onSecured();
  }
}
