/**
 * A connection at an entrance until it is known where it belongs: its PROXY header, then its ClientHello.
 *
 *   accept ──► [ PROXY header ] ──► [ ClientHello ] ─┬─ a server that ends TLS: handshake, then HTTP/1.1
 *                     │                              ├─ one that passes it through: relayed unread
 *                     └── plain: HTTP/1.1            └─ nobody's name: alert unrecognized_name, closed
 *
 * Where neither is expected a connection never comes here. All of it has to come within the time of a
 * handshake. What is read and is not the PROXY header is given on as it came.
 */

import type { Socket } from 'node:net';
import { Deadline, type DeadlineOwner } from '../../base/deadlines.ts';
import { ClientHelloReader, HelloState } from '../../wire/client-hello.ts';
import { ProxyHeaderReader, ProxyHeaderState } from '../../wire/proxy-header.ts';
import type { EntranceServer } from '../plan/entrance.ts';
import type { TurnTaker } from '../scope/handshake-turns.ts';
import type { Endable, ProxyScope } from '../scope/proxy-scope.ts';
import { ByteHold } from '../socket/byte-hold.ts';
import { plainAddress } from '../socket/print-address.ts';
import { adoptSocket, type ByteTaker } from '../socket/socket-reads.ts';
import type { PeerAddress } from './entrance-owner.ts';

/** Fatal, unrecognized_name (RFC 6066 section 3), in a record of TLS 1.2, as all versions read it. */
const unrecognizedName = Buffer.from([21, 3, 3, 0, 2, 2, 112]);

/** What there is to be read at a door. */
export interface ArrivalTerms {
  readonly isSecure: boolean;
  readonly takesProxyHeader: boolean;
}

/** What an arrival has come to. */
export interface Arrived {
  readonly accepted: Socket;
  /** By its PROXY header; undefined without one, or where the balancer itself is the caller. */
  readonly source: PeerAddress | undefined;
  /** What has been read and is not ours; valid during the call. */
  readonly said: Buffer;
}

/** Who gets the connection. */
export interface EntranceTaker {
  serverOf(name: string): EntranceServer | undefined;
  /** No TLS is expected. */
  onPlain(arrived: Arrived): void;
  /** `hello` asks for a name of `server`. */
  onServer(arrived: Arrived, server: EntranceServer, hello: ClientHelloReader): void;
  onRefused(why: string): void;
  /** It is nobody's any more, or somebody else's. */
  onOver(arrival: EntranceArrival): void;
}

export class EntranceArrival implements ByteTaker, DeadlineOwner, Endable, TurnTaker {
  readonly #scope: ProxyScope;
  readonly #taker: EntranceTaker;
  readonly #terms: ArrivalTerms;
  readonly #socket: Socket;
  readonly #hold = new ByteHold();
  readonly #hello = new ClientHelloReader();
  /** That its ClientHello asks for, once it is read. */
  #server: EntranceServer | undefined;
  #source: PeerAddress | undefined;
  #isSourceAwaited: boolean;
  readonly #deadline: Deadline = new Deadline(this);
  readonly #onGone = (): void => this.destroy();
  #isOver = false;

  constructor(scope: ProxyScope, taker: EntranceTaker, terms: ArrivalTerms, accepted: Socket) {
    this.#scope = scope;
    this.#taker = taker;
    this.#terms = terms;
    this.#isSourceAwaited = terms.takesProxyHeader;
    scope.handshakes++;
    scope.deadlines.set(this.#deadline, scope.clock.now() + scope.limits.tlsHandshakeMs);
    this.#socket = adoptSocket(accepted, this, scope.sockets);
    this.#socket.on('error', ignoreError);
    this.#socket.on('end', this.#onGone);
    this.#socket.on('close', this.#onGone);
  }

  onBytes(chunk: Buffer): void {
    if (this.#isOver) return;
    try {
      this.#hold.append(chunk, 0, chunk.length);
      if (this.#server !== undefined) this.#holdOn();
      else if (!this.#isSourceAwaited) this.#readHello(chunk);
      else if (this.#readSource()) this.#afterSource();
    } catch (error) {
      this.#scope.containBug(this, error);
    }
  }

  onDeadline(): void {
    this.#refuse('it took too long');
  }

  /** Of the client, as far as it is known. */
  get address(): string {
    return this.#source?.address ?? plainAddress(this.#socket.remoteAddress ?? '');
  }

  /** Its handshake, or its dial, may begin. */
  onTurn(): void {
    const server = this.#server!;
    try {
      this.#give((arrived) => this.#taker.onServer(arrived, server, this.#hello));
    } catch (error) {
      this.#scope.containBug(this.#socket, error);
    }
  }

  destroy(): void {
    if (!this.#end()) return;
    this.#socket.destroy();
  }

  /** Whether it has been read whole. */
  #readSource(): boolean {
    const reader = new ProxyHeaderReader();
    const state = reader.read(this.#hold.view());
    if (state === ProxyHeaderState.Refused) {
      this.#refuse('it does not begin with a PROXY header, which this gateway expects');
    }
    if (state !== ProxyHeaderState.Done) return false;
    this.#isSourceAwaited = false;
    const { address, port, length } = reader;
    this.#source = address === '' ? undefined : { address, port };
    this.#hold.skip(length);
    return true;
  }

  #afterSource(): void {
    if (!this.#terms.isSecure) this.#give((arrived) => this.#taker.onPlain(arrived));
    else if (this.#hold.length > 0) this.#readHello(this.#hold.view());
  }

  #readHello(chunk: Buffer): void {
    const state = this.#hello.feed(chunk);
    if (state === HelloState.More) return;
    if (state === HelloState.Other) {
      this.#refuse('it does not begin with a ClientHello that can be read');
      return;
    }
    const { serverName } = this.#hello;
    const server = this.#taker.serverOf(serverName);
    if (server !== undefined && server.server.action !== 'closed') {
      this.#server = server;
      this.#scope.handshakeTurns.ask(this);
      return;
    }
    this.#socket.write(unrecognizedName);
    const asked = serverName === '' ? 'no name' : `\`${serverName}\``;
    const why = server === undefined ? 'which nobody serves' : 'which has no certificate';
    this.#refuse(`it asks for ${asked}, ${why}`);
  }

  /** It waits for its turn; whoever has said so much has not waited for an answer. */
  #holdOn(): void {
    if (this.#hold.length >= this.#scope.sockets.heldBytesMax) this.#refuse('it says too much');
  }

  #give(to: (arrived: Arrived) => void): void {
    if (!this.#end()) return;
    to({ accepted: this.#socket, source: this.#source, said: this.#hold.view() });
    this.#hold.clear();
  }

  #refuse(why: string): void {
    if (!this.#end()) return;
    const peer = plainAddress(this.#socket.remoteAddress ?? 'a peer that is gone');
    this.#taker.onRefused(`a connection from ${peer} was closed: ${why}`);
    // What has been written goes out, FIN behind it; what still comes is not waited for.
    this.#socket.destroySoon();
  }

  #end(): boolean {
    if (this.#isOver) return false;
    this.#isOver = true;
    this.#scope.handshakes--;
    this.#scope.deadlines.remove(this.#deadline);
    this.#socket.removeListener('end', this.#onGone);
    this.#socket.removeListener('close', this.#onGone);
    this.#taker.onOver(this);
    return true;
  }
}

function ignoreError(): void {}
