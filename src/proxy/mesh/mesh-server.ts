/**
 * The inbound half of the mesh's mutual TLS: TLS 1.3, ALPN `tracecar/1`, both ends with a certificate.
 *
 *   gate ──a ClientHello of the mesh──► waiting ──► handshake ──► chain, SVID, trust domain ──► MeshPeer
 *                                          │ a few each turn of the loop, so many at a time,
 *                                          │ so many of one address (HandshakePlaces)
 *                                          └── too many wait: closed, counted
 *
 * One for a proxy, whatever its tables. Each set of key, certificates and roots makes a context of its
 * own with ticket keys of its own: a session is resumed with the set that it began with or not at all.
 * Connections that are made live on when there is another one. Nothing is read before the peer is known.
 */

import { X509Certificate } from 'node:crypto';
import type { Socket } from 'node:net';
import type { SecureContext } from 'node:tls';
import type { Milliseconds } from '../../base/clock.ts';
import { Deadline, type DeadlineOwner } from '../../base/deadlines.ts';
import type { MeshIdentity, MeshMaterial } from '../../identity/mesh-identity.ts';
import { readSvid } from '../../identity/svid.ts';
import { MESH_PROTOCOL } from '../../model/security.ts';
import type { ProxyScope } from '../scope/proxy-scope.ts';
import { WarningLimit } from '../scope/warning-limit.ts';
import type { ByteHold } from '../socket/byte-hold.ts';
import type { SecureSocket } from '../socket/secure-socket.ts';
import { beginSecure, secureAccepted } from '../socket/socket-reads.ts';
import { setTlsFacts } from '../tls/tls-server.ts';
import { HandshakePlaces, type PlaceHolder } from './handshake-places.ts';
import { meshContext } from './mesh-context.ts';
import { type MeshPeer, setMeshPeer } from './mesh-peer.ts';

/** Index of `tlsVersionWords` (telemetry/record/exchange-record.ts). */
const TLS_1_3 = 2;
/** Leaves that are known: a peer has one, and comes back with it. */
const PEERS_MAX = 1_024;

/** A connection whose ClientHello is one of the mesh's. */
export interface MeshArrival {
  readonly accepted: Socket;
  /** IP address of the peer. */
  readonly address: string;
  /** All that has been read from it, and what still comes until `begin`. */
  readonly said: ByteHold;
  /** Of its first byte. */
  readonly startMs: Milliseconds;
  /** From here on bytes are TLS's. */
  begin(): void;
  onSecure(secure: Socket, peer: MeshPeer): void;
  onFailed(): void;
}

/** Under way, or waiting for its turn. */
export interface MeshHandshake {
  /** Ends it and its connection, unless it is over. */
  fail(why: string): void;
}

export class MeshServer {
  readonly #scope: ProxyScope;
  readonly #warnings: WarningLimit;
  readonly #unfollow: () => void;
  /** Of the newest set that could be used. */
  #context: SecureContext | undefined;
  #material: MeshMaterial | undefined;
  #self: MeshPeer | undefined;
  readonly #places: HandshakePlaces<Handshake>;
  /** Handshakes begun in this turn of the loop; a new turn has been asked for when it is not 0. */
  #begun = 0;
  /** By the hash of their leaf. */
  readonly #peers = new Map<string, MeshPeer>();

  constructor(scope: ProxyScope, mesh: MeshIdentity) {
    this.#scope = scope;
    this.#warnings = new WarningLimit(scope);
    this.#places = new HandshakePlaces(scope.limits);
    this.#unfollow = mesh.follow((material) => this.#load(material));
  }

  /** This very workload, for its calls to itself; undefined until it has a certificate. */
  get self(): MeshPeer | undefined {
    return this.#self;
  }

  /** Begins a handshake, now or in its turn; `arrival` hears once how it ended, maybe before this returns. */
  accept(arrival: MeshArrival): MeshHandshake {
    const places = this.#places;
    const handshake = new Handshake(this.#scope, this, arrival);
    if (this.#material === undefined) {
      handshake.fail('this workload has no certificate yet');
    } else if (this.#isTurn() && places.isFreeFor(arrival.address)) this.#begin(handshake);
    else if (!places.wait(handshake)) {
      this.#scope.inbound.meshHandshakesRefused++;
      handshake.fail(`${places.waiting} others wait for theirs`);
    }
    places.hurry();
    return handshake;
  }

  /** Sessions from before are resumed no more: each context has ticket keys of its own. */
  forgetSessions(): void {
    if (this.#material !== undefined) this.#load(this.#material);
  }

  /** The proxy ends: no more handshakes. */
  close(): void {
    this.#unfollow();
    for (const handshake of this.#places.all()) handshake.fail('the proxy ends');
  }

  /** Of a handshake that has come to nothing. */
  onFailed(handshake: Handshake, why: string): void {
    this.#leave(handshake);
    this.#scope.counts.failedHandshakes++;
    this.#scope.inbound.meshHandshakesFailed++;
    const peer = handshake.address === '' ? 'a peer that is gone' : handshake.address;
    this.#warnings.warn(`mutual TLS with ${peer} failed: ${why}`);
  }

  #load(material: MeshMaterial): void {
    try {
      this.#context = meshContext(material, this.#scope.limits.meshSessionMs);
      this.#material = material;
      const self = this.#read(new X509Certificate(material.certificates));
      this.#self = typeof self === 'string' ? undefined : self;
    } catch (error) {
      const why = error instanceof Error ? error.message : String(error);
      this.#scope.log('error', `certificate ${material.generation} cannot be used inbound: ${why}`);
    }
  }

  /** Whether others need the place of `handshake`, which is under way. */
  isWanted(handshake: Handshake): boolean {
    return this.#places.isWanted(handshake);
  }

  /** Whether another one may begin in this turn of the loop. */
  #isTurn(): boolean {
    return this.#begun < this.#scope.limits.meshHandshakesPerTurn;
  }

  #begin(handshake: Handshake): void {
    if (this.#begun++ === 0) this.#scope.wakeUps.after(0, () => this.#nextTurn());
    this.#places.take(handshake);
    handshake.begin(this.#context!);
  }

  #nextTurn(): void {
    this.#begun = 0;
    while (this.#isTurn()) {
      const handshake = this.#places.next();
      if (handshake === undefined) break;
      this.#begin(handshake);
    }
    this.#places.hurry();
  }

  #leave(handshake: Handshake): void {
    this.#places.leave(handshake);
    if (this.#places.waiting > 0 && this.#begun === 0) this.#nextTurn();
  }

  /** The handshake is over: who is it? */
  onSecure(handshake: Handshake, secure: SecureSocket): void {
    const peer = this.#peerOf(secure);
    if (typeof peer === 'string') {
      handshake.fail(peer);
      return;
    }
    this.#leave(handshake);
    this.#scope.inbound.meshHandshakes++;
    handshake.succeed(secure, peer);
  }

  /** Who it is, or why it is nobody. OpenSSL has verified the chain, now or when the session began. */
  #peerOf(secure: SecureSocket): MeshPeer | string {
    const { chainError } = secure;
    if (chainError !== undefined) return `its certificate: ${chainError.message}`;
    if (secure.alpnProtocol !== MESH_PROTOCOL) return `it does not speak ${MESH_PROTOCOL}`;
    const certificate = secure.getPeerX509Certificate();
    if (certificate === undefined) return 'it has no certificate';
    const peer = this.#read(certificate);
    if (typeof peer === 'string') return peer;
    const { trustDomain } = this.#material!;
    if (peer.trustDomain !== trustDomain) return `${peer.id} is not of trust domain ${trustDomain}`;
    const { clock } = this.#scope;
    // A session that is resumed may outlive the leaf.
    if (clock.epochMs + clock.now() >= peer.notAfterMs)
      return `the certificate of ${peer.id} ended`;
    return peer;
  }

  #read(certificate: X509Certificate): MeshPeer | string {
    const hash = certificate.fingerprint256.replaceAll(':', '').toLowerCase();
    const known = this.#peers.get(hash);
    if (known !== undefined) return known;
    const svid = readSvid(certificate.raw);
    if ('problem' in svid) return svid.problem;
    const notAfterMs = certificate.validToDate.getTime();
    const nameId = this.#scope.telemetry.names.idOf(svid.id);
    const peer = Object.freeze({ ...svid, hash, notAfterMs, nameId });
    if (this.#peers.size >= PEERS_MAX) this.#peers.clear();
    this.#peers.set(hash, peer);
    return peer;
  }
}

/** One handshake, from its turn in the queue on; it ends once, well or badly. */
class Handshake implements DeadlineOwner, MeshHandshake, PlaceHolder {
  readonly arrival: MeshArrival;
  readonly #scope: ProxyScope;
  readonly #server: MeshServer;
  readonly #deadline: Deadline = new Deadline(this);
  readonly #onGone = (): void => this.fail('the peer went away');
  #secure: SecureSocket | undefined;
  #begunMs: Milliseconds = 0;
  #isHurried = false;
  #isOver = false;

  constructor(scope: ProxyScope, server: MeshServer, arrival: MeshArrival) {
    this.#scope = scope;
    this.#server = server;
    this.arrival = arrival;
    scope.handshakes++;
    scope.deadlines.set(this.#deadline, this.#endMs);
    arrival.accepted.on('close', this.#onGone);
    arrival.accepted.on('end', this.#onGone);
  }

  get address(): string {
    return this.arrival.address;
  }

  get #endMs(): Milliseconds {
    return this.arrival.startMs + this.#scope.limits.tlsHandshakeMs;
  }

  hurry(): void {
    if (this.#isHurried || this.#isOver) return;
    this.#isHurried = true;
    const { clock, deadlines, limits } = this.#scope;
    const soon = Math.max(clock.now(), this.#begunMs + limits.meshHandshakePatienceMs);
    deadlines.set(this.#deadline, Math.min(this.#endMs, soon));
  }

  begin(secureContext: SecureContext): void {
    const { accepted, said } = this.arrival;
    this.arrival.begin();
    this.#begunMs = this.#scope.clock.now();
    accepted.removeListener('close', this.#onGone);
    accepted.removeListener('end', this.#onGone);
    const secure = secureAccepted(accepted, this.#scope.sockets, {
      secureContext,
      requestCert: true,
      rejectUnauthorized: true,
      ALPNProtocols: [MESH_PROTOCOL],
    });
    if (secure === undefined) {
      this.#onGone();
      return;
    }
    this.#secure = secure;
    secure.on('secure', () => this.#guard(() => this.#server.onSecure(this, secure)));
    secure.on('error', (error: NodeJS.ErrnoException) => this.fail(error.code ?? error.message));
    secure.on('close', this.#onGone);
    // FIN: whoever has said all cannot finish it any more.
    secure.on('end', this.#onGone);
    beginSecure(secure, said.view());
    said.clear();
  }

  succeed(secure: SecureSocket, peer: MeshPeer): void {
    if (!this.#end()) return;
    const { clock } = this.#scope;
    const handshakeUs = Math.round((clock.now() - this.arrival.startMs) * 1_000);
    setTlsFacts(secure, { handshakeUs, version: TLS_1_3 });
    setMeshPeer(secure, peer);
    secure.removeListener('close', this.#onGone);
    secure.removeListener('end', this.#onGone);
    secure.trust();
    this.arrival.onSecure(secure, peer);
  }

  fail(why: string): void {
    if (!this.#end()) return;
    this.#server.onFailed(this, why);
    this.arrival.onFailed();
    (this.#secure ?? this.arrival.accepted).destroy();
  }

  onDeadline(): void {
    const isEarly = this.#isHurried && this.#scope.clock.now() < this.#endMs;
    if (!isEarly) this.fail('it took too long');
    else if (this.#server.isWanted(this)) this.fail('it took too long, and others wait');
    else {
      this.#isHurried = false;
      this.#scope.deadlines.set(this.#deadline, this.#endMs);
    }
  }

  #guard(call: () => void): void {
    try {
      call();
    } catch (error) {
      this.#scope.containBug(this.#secure!, error);
    }
  }

  #end(): boolean {
    if (this.#isOver) return false;
    this.#isOver = true;
    this.#scope.handshakes--;
    this.#scope.deadlines.remove(this.#deadline);
    return true;
  }
}
