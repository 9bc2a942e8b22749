/**
 * An inbound connection of a workload with an identity, until it is known whether the mesh's TLS is
 * spoken on it.
 *
 *   Silent ──no handshake record──► plain                    the bytes go on as they came
 *     │  └──silence──► plain until it speaks, or closed      GateOwner says
 *     └──a record──► Hello ──ALPN tracecar/1──► MeshServer ──► secure, or closed
 *                      └──another ClientHello──► plain       the application's own TLS
 *
 * It only looks, and never sends anything. Whoever gets a plain connection reads on from its first byte.
 */

import type { Socket } from 'node:net';
import type { Milliseconds } from '../../base/clock.ts';
import { Deadline, type DeadlineOwner } from '../../base/deadlines.ts';
import { MESH_PROTOCOL, MESH_REQUESTS } from '../../model/security.ts';
import { ClientHelloReader, HANDSHAKE_RECORD, HelloState } from '../../wire/client-hello.ts';
import type { Endable, ProxyScope } from '../scope/proxy-scope.ts';
import { ByteHold } from '../socket/byte-hold.ts';
import { plainAddress } from '../socket/print-address.ts';
import { adoptSocket, type ByteTaker, resetSocket } from '../socket/socket-reads.ts';
import { type MeshPeer, setWritesRequests } from './mesh-peer.ts';
import type { MeshArrival, MeshHandshake, MeshServer } from './mesh-server.ts';

const GateState = { Silent: 0, Hello: 1, Mesh: 2, Over: 3 } as const;

const nothing = Buffer.alloc(0);

/** Whose connections come by a gate. */
export interface GateOwner {
  /** Of the workload, for the record of plaintext callers. */
  readonly port: number;
  /** How long silence of `address` is borne. */
  silenceMsOf(address: string): Milliseconds;
  /** After it: whether the connection goes on as a plain one; else it is closed. */
  readonly passesSilent: boolean;
  /** Nothing of the mesh: who reads `accepted` from here on, and is given what has come. */
  onPlain(gate: MeshGate, accepted: Socket): ByteTaker;
  /**
   * As `onPlain`, of one that has said nothing yet: whoever takes it counts it as plain, or brings it to
   * another gate, when it speaks. A sidecar whose process is held up says its ClientHello late.
   */
  onSilent(gate: MeshGate, accepted: Socket): void;
  onSecure(gate: MeshGate, secure: Socket, peer: MeshPeer): void;
  /** It has ended and was nobody's. */
  onGateClosed(gate: MeshGate): void;
}

export class MeshGate implements ByteTaker, DeadlineOwner, Endable, MeshArrival {
  readonly accepted: Socket;
  readonly address: string;
  readonly said = new ByteHold();
  startMs: Milliseconds;
  readonly #scope: ProxyScope;
  readonly #server: MeshServer;
  readonly #owner: GateOwner;
  readonly #deadline = new Deadline(this);
  #state: number = GateState.Silent;
  #hello: ClientHelloReader | undefined;
  #handshake: MeshHandshake | undefined;
  /** Its ClientHello says that the peer writes what comes, as requests. */
  #isOfRequests = false;
  readonly #onGone = (): void => this.#close();
  readonly #onEnded = (): void => this.#guard(() => this.#passOnEnded());

  constructor(scope: ProxyScope, server: MeshServer, owner: GateOwner, accepted: Socket) {
    this.#scope = scope;
    this.#server = server;
    this.#owner = owner;
    this.address = plainAddress(accepted.remoteAddress ?? '');
    this.startMs = scope.clock.now();
    scope.handshakes++;
    scope.deadlines.set(this.#deadline, this.startMs + owner.silenceMsOf(this.address));
    this.accepted = adoptSocket(accepted, this, scope.sockets);
    this.accepted.on('error', ignoreError);
    this.accepted.on('close', this.#onGone);
    this.accepted.on('end', this.#onEnded);
  }

  onBytes(chunk: Buffer): void {
    this.#guard(() => this.#take(chunk));
  }

  /** Silence, or a ClientHello that does not end. */
  onDeadline(): void {
    this.#guard(() => {
      if (this.#state === GateState.Hello || this.#owner.passesSilent) this.#pass(nothing);
      else this.#end();
    });
  }

  /** Draining: nobody waits for a connection on which nothing has been said. */
  retire(): void {
    if (this.#state !== GateState.Silent) return;
    const { deadlines, limits } = this.#scope;
    deadlines.set(this.#deadline, this.startMs + limits.drainIdleMs);
  }

  /** Ends at once, by RST. */
  destroy(): void {
    if (this.#state === GateState.Over) return;
    this.#handshake?.fail('it was ended');
    if (this.#state === GateState.Over) return;
    resetSocket(this.accepted);
    this.#close();
  }

  /** TLS has the socket: what comes is not ours any more. */
  begin(): void {
    this.accepted.removeListener('end', this.#onEnded);
  }

  onSecure(secure: Socket, peer: MeshPeer): void {
    this.#leave();
    if (this.#isOfRequests) setWritesRequests(secure);
    this.#scope.plaintextCallers.noteMeshed(this.address, this.#owner.port);
    this.#owner.onSecure(this, secure, peer);
  }

  onFailed(): void {
    this.#close();
  }

  #guard(call: () => void): void {
    try {
      call();
    } catch (error) {
      this.#scope.containBug(this, error);
    }
  }

  #take(chunk: Buffer): void {
    if (this.#state === GateState.Silent) {
      if (chunk[0] !== HANDSHAKE_RECORD) {
        this.#pass(chunk);
        return;
      }
      this.#state = GateState.Hello;
      this.#hello = new ClientHelloReader();
      const { clock, deadlines, limits } = this.#scope;
      this.startMs = clock.now();
      deadlines.set(this.#deadline, this.startMs + limits.tlsHandshakeMs);
    }
    if (this.#state === GateState.Over) return;
    this.said.append(chunk, 0, chunk.length);
    if (this.#state === GateState.Hello) this.#readHello(chunk);
    // Nobody has more to say before the other end has answered.
    else if (this.said.length >= this.#scope.sockets.heldBytesMax) this.destroy();
  }

  #readHello(chunk: Buffer): void {
    const hello = this.#hello!;
    const state = hello.feed(chunk);
    if (state === HelloState.More) return;
    if (!hello.alpn.includes(MESH_PROTOCOL)) {
      this.#pass(nothing);
      return;
    }
    this.#state = GateState.Mesh;
    this.#isOfRequests = hello.alpn.includes(MESH_REQUESTS);
    this.#hello = undefined;
    // The handshake has a deadline of its own, and counts itself.
    this.#scope.deadlines.remove(this.#deadline);
    this.#scope.handshakes--;
    this.#handshake = this.#server.accept(this);
  }

  /** It is not the mesh's: `chunk` follows on what is held. */
  #pass(chunk: Buffer): void {
    this.#leave();
    if (this.said.length === 0 && chunk.length === 0) {
      this.#owner.onSilent(this, this.accepted);
      return;
    }
    this.#scope.notePlaintext(this.address, this.#owner.port);
    const taker = this.#owner.onPlain(this, this.accepted);
    if (this.said.length > 0) taker.onBytes(this.said.view());
    else if (chunk.length > 0) taker.onBytes(chunk);
    this.said.clear();
  }

  /** FIN: whoever reads on hears of it as if it came now. */
  #passOnEnded(): void {
    if (this.#state > GateState.Hello) return;
    if (this.#owner.passesSilent || this.#state === GateState.Hello) {
      this.#pass(nothing);
      this.accepted.emit('end');
    } else this.#end();
  }

  #end(): void {
    this.accepted.destroySoon();
    this.#close();
  }

  #leave(): void {
    if (this.#state < GateState.Mesh) {
      this.#scope.handshakes--;
      this.#scope.deadlines.remove(this.#deadline);
    }
    this.#state = GateState.Over;
    this.#hello = undefined;
    this.accepted.removeListener('close', this.#onGone);
    this.accepted.removeListener('end', this.#onEnded);
  }

  #close(): void {
    if (this.#state === GateState.Over) return;
    this.#leave();
    this.said.clear();
    this.#owner.onGateClosed(this);
  }
}

/** For a socket that something else is to read from its first byte. */
export class PushBack implements ByteTaker {
  readonly #accepted: Socket;
  readonly #onReady: () => void;

  constructor(accepted: Socket, onReady: () => void) {
    this.#accepted = accepted;
    this.#onReady = onReady;
  }

  onBytes(chunk: Buffer): void {
    this.#accepted.unshift(Buffer.from(chunk));
    this.#onReady();
  }
}

/** For a socket that has been ended. */
export const deafTaker: ByteTaker = { onBytes: () => undefined };

function ignoreError(): void {}
