/**
 * What one captured connection needs to know: where it was going, what is known of that, who it comes
 * from, and what its port takes. Asked for anew with every table.
 */

import type { Socket } from 'node:net';
import type { Milliseconds } from '../../base/clock.ts';
import { KEEP_PORT } from '../../model/known-ports.ts';
import type { DeclaredProtocol, Direction } from '../../model/routing-table.ts';
import type { ConnectionOwner, DownstreamConnection } from '../exchange/downstream-connection.ts';
import type { UpgradedConnection } from '../exchange/upgrade-switch.ts';
import type { GateOwner, MeshGate } from '../mesh/mesh-gate.ts';
import type { MeshPeer } from '../mesh/mesh-peer.ts';
import type { DestinationPlan } from '../plan/capture-lookup.ts';
import { endpointOf } from '../plan/exchange-route.ts';
import type { OnwardEntry } from '../plan/passthrough.ts';
import type { BackendPlan, CapturePlans, ListenerPlan } from '../plan/plan.ts';
import type { ProxyScope } from '../scope/proxy-scope.ts';
import type { OriginalDestination } from '../socket/original-destination.ts';
import type { ByteTaker } from '../socket/socket-reads.ts';
import type { TlsClient } from '../upstream/upstream-tls.ts';
import type { CaptureListener } from './capture-listener.ts';
import type { CapturedConnection } from './captured-connection.ts';
import { printDenial } from './denied.ts';
import { HttpExpected } from './first-move.ts';

/** What the connections to one destination need to know; one for each connection. */
export class CaptureOwner implements ConnectionOwner, GateOwner {
  readonly destination: OriginalDestination;
  /** Who is at the other end, where that is proved. */
  readonly meshPeer: MeshPeer | undefined;
  readonly isCaptured = true;
  /** What comes over it makes no spans. */
  readonly isMuted: boolean = false;
  /** A gate has let it go on with nothing said: it may still turn out to be mutual TLS. */
  isUnheard = false;
  readonly #scope: ProxyScope;
  readonly #listener: CaptureListener;
  #onward: OnwardEntry | undefined;
  /** Whose look-up the next three are. */
  #plans: CapturePlans | undefined;
  #known: DestinationPlan | undefined;
  #plan: ListenerPlan | undefined;
  /** Of the endpoint that was dialled, if it speaks mutual TLS of the mesh. */
  #tls: TlsClient | undefined;

  constructor(
    scope: ProxyScope,
    listener: CaptureListener,
    destination: OriginalDestination,
    meshPeer?: MeshPeer,
  ) {
    this.#scope = scope;
    this.#listener = listener;
    this.destination = destination;
    this.meshPeer = meshPeer;
  }

  get direction(): Direction {
    return this.#listener.direction;
  }

  get port(): number {
    return this.destination.port;
  }

  get isRetired(): boolean {
    return this.#listener.isRetired;
  }

  /** Of a port that takes mutual TLS of the mesh alone. */
  get isStrict(): boolean {
    return this.direction === 'inbound' && this.#scope.inboundModes.isStrict(this.port);
  }

  /** What has come must not go on: nobody knows who it is. */
  get isRefusing(): boolean {
    return this.meshPeer === undefined && this.isStrict;
  }

  /** Of a gate: a server may be the one to speak first, unless it is this proxy. */
  get passesSilent(): boolean {
    const isOurs = this.port === KEEP_PORT || this.#listener.planFor(this.port)?.tls !== undefined;
    return !this.isStrict && !isOurs;
  }

  silenceMsOf(address: string): Milliseconds {
    const { limits, plaintextCallers } = this.#scope;
    if (!this.passesSilent) return limits.headTimeoutMs;
    return plaintextCallers.isPlain(address, this.port)
      ? limits.meshHelloAgainMs
      : limits.meshHelloMs;
  }

  /** What is known of the address; asked again when there is another table. Outbound only. */
  get known(): DestinationPlan | undefined {
    this.#look();
    return this.#known;
  }

  get isDenying(): boolean {
    const { plans, direction } = this.#listener;
    return direction === 'outbound' && plans.outboundPolicy === 'registry-only';
  }

  deniedDetail(hostname: string): string {
    return printDenial(hostname, this.destination, 'HTTP');
  }

  /**
   * What is expected: what the known address was declared to speak; else HTTP, where a listener exists
   * for the port, because names of services need not have addresses here.
   */
  get declared(): DeclaredProtocol | undefined {
    const { known } = this;
    if (known !== undefined) return known.destination.protocol;
    return this.#listener.planFor(this.destination.port) === undefined ? undefined : 'http';
  }

  /** `HttpExpected`. A listener of the inbound half is about this very pod. */
  get httpExpected(): number {
    if (this.declared !== 'http') return HttpExpected.Nowhere;
    const isOfAddress = this.known !== undefined || this.direction === 'inbound';
    return isOfAddress ? HttpExpected.AtAddress : HttpExpected.AtPort;
  }

  get plan(): ListenerPlan {
    this.#look();
    return this.#plan!;
  }

  /** Looked up again when it has been forgotten, and once a second so that it is not. */
  get passthrough(): BackendPlan {
    const { passthrough } = this.#listener;
    this.#look();
    const onward = this.#onward;
    const tls = this.#tls;
    if (onward !== undefined && passthrough.isFresh(onward, tls)) return onward.backend;
    const { address, port } = this.destination;
    this.#onward = passthrough.to(address, port, tls);
    return this.#onward.backend;
  }

  #look(): void {
    const { plans, direction } = this.#listener;
    if (plans === this.#plans) return;
    const { address, port } = this.destination;
    const known = direction === 'outbound' ? plans.lookup.find(address, port) : undefined;
    const named = known === undefined ? undefined : plans.byName.get(known.destination.listener);
    this.#plans = plans;
    this.#known = known;
    this.#tls = known === undefined ? undefined : meshTlsOf(known);
    this.#plan = named ?? this.#listener.planFor(port) ?? plans.others[direction];
  }

  onConnectionClosed(connection: DownstreamConnection): void {
    this.#listener.connections.delete(connection);
  }

  onSwitched(connection: DownstreamConnection, tunnel: UpgradedConnection): void {
    this.#listener.connections.delete(connection);
    this.#listener.tunnels.add(tunnel);
  }

  onTunnelClosed(tunnel: UpgradedConnection): void {
    this.#listener.tunnels.delete(tunnel);
  }

  onPlain(gate: MeshGate, accepted: Socket): ByteTaker {
    return this.#listener.takePlain(this, gate, accepted);
  }

  onSilent(gate: MeshGate, accepted: Socket): void {
    this.isUnheard = true;
    this.#listener.takePlain(this, gate, accepted);
  }

  /** It has spoken, or been spoken to, or ended: it was a plain one. @param address of its peer */
  noteHeard(address: string): void {
    if (!this.isUnheard) return;
    this.isUnheard = false;
    this.#scope.notePlaintext(address, this.port);
  }

  /** What has said nothing when its time was over begins with a handshake's record: is it the mesh's? */
  onLateHello(captured: CapturedConnection, chunk: Buffer): void {
    this.isUnheard = false;
    this.#listener.captured.delete(captured);
    this.#listener.takeAgain(this, captured.socket, chunk);
  }

  onSecure(gate: MeshGate, secure: Socket, peer: MeshPeer): void {
    this.#listener.takeSecure(this, gate, secure, peer);
  }

  onGateClosed(gate: MeshGate): void {
    this.#listener.gates.delete(gate);
  }

  /** Detection has found HTTP. */
  onHttp(captured: CapturedConnection, connection: DownstreamConnection): void {
    this.#listener.captured.delete(captured);
    this.#listener.connections.add(connection);
  }

  onCapturedClosed(captured: CapturedConnection): void {
    this.#listener.captured.delete(captured);
  }
}

/**
 * Whoever dials the address of a pod by a name that nobody has defined (`db-0.db`, the address itself)
 * speaks to it as its service's callers do; in STRICT it would be refused otherwise.
 */
function meshTlsOf(known: DestinationPlan): TlsClient | undefined {
  const backend = known.connections.at(-1)?.backends[0];
  const tls = backend && endpointOf(backend, known)?.tls;
  return tls === undefined || tls.identity === '' ? undefined : tls;
}
