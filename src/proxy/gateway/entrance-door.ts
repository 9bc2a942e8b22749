/**
 * The door of an entrance: gives what one listener accepts to who it is for, and counts what it turns away.
 *
 *   plain HTTP ──────────────────────────────► DownstreamConnection
 *   TLS that ends here ──► TlsServer of the name ──► DownstreamConnection
 *   TLS passed through ──► EntranceRelay
 */

import type { Socket } from 'node:net';
import type { TLSSocket } from 'node:tls';
import type { Failure } from '../../model/failure.ts';
import type { ClientHelloReader } from '../../wire/client-hello.ts';
import { type ConnectionOwner, DownstreamConnection } from '../exchange/downstream-connection.ts';
import { makeCaller } from '../exchange/guard.ts';
import { isFailure } from '../plan/connection-choice.ts';
import type { Entrance, EntranceServer } from '../plan/entrance.ts';
import type { ProxyScope } from '../scope/proxy-scope.ts';
import { WarningLimit } from '../scope/warning-limit.ts';
import { plainAddress } from '../socket/print-address.ts';
import { resetSocket } from '../socket/socket-reads.ts';
import { shownCertificate, shownSubject } from '../tls/shown-certificate.ts';
import { readSecure } from '../tls/tls-server.ts';
import { type Arrived, EntranceArrival, type EntranceTaker } from './entrance-arrival.ts';
import { EntranceOwner, type PeerAddress } from './entrance-owner.ts';
import { EntranceRelay, type RelayOwner } from './entrance-relay.ts';

/** The listener behind it, which has the connections. */
export interface DoorOwner extends ConnectionOwner {
  readonly name: string;
  readonly connections: Set<DownstreamConnection>;
}

export class EntranceDoor implements EntranceTaker, RelayOwner {
  readonly #scope: ProxyScope;
  readonly #listener: DoorOwner;
  readonly #warnings: WarningLimit;
  /** Of which it is not known yet where they belong. */
  readonly #arrivals = new Set<EntranceArrival>();
  /** Connections of which TLS is passed through. */
  readonly relays = new Set<EntranceRelay>();

  constructor(scope: ProxyScope, listener: DoorOwner) {
    this.#scope = scope;
    this.#listener = listener;
    this.#warnings = new WarningLimit(scope);
  }

  get #entrance(): Entrance {
    return this.#listener.plan.entrance!;
  }

  accept(accepted: Socket): void {
    const { isSecure } = this.#entrance;
    const { takesProxyHeader } = this.#scope.outside;
    if (isSecure || takesProxyHeader) {
      const terms = { isSecure, takesProxyHeader };
      this.#arrivals.add(new EntranceArrival(this.#scope, this, terms, accepted));
    } else this.#open(accepted, undefined);
  }

  serverOf(name: string): EntranceServer | undefined {
    return this.#entrance.serverOf(name);
  }

  onPlain({ accepted, source, said }: Arrived): void {
    const connection = this.#open(accepted, source);
    if (said.length > 0) connection.onBytes(said);
  }

  onServer(arrived: Arrived, server: EntranceServer, hello: ClientHelloReader): void {
    const { tls } = server;
    if (tls === undefined) {
      this.#relay(arrived, hello);
      return;
    }
    const { accepted, source, said } = arrived;
    // TLS takes what is in the stream before what the kernel has; it keeps the memory.
    accepted.unshift(Buffer.from(said));
    const onSecure = (secure: TLSSocket) => {
      const isTold = this.#scope.clientCertMode !== 'off';
      const shown = isTold ? shownCertificate(secure) : '';
      const owner = new EntranceOwner(this.#listener, server, source, shown, shownSubject(secure));
      const { connections } = this.#listener;
      connections.add(new DownstreamConnection(this.#scope, owner, secure, readSecure));
    };
    tls.accept(accepted, onSecure, source?.address);
  }

  #relay({ accepted, source, said }: Arrived, hello: ClientHelloReader): void {
    const { serverName } = hello;
    const choice = this.#entrance.chooseRelay(serverName);
    if (isFailure(choice)) {
      this.onRefused(`\`${serverName}\` leads nowhere: ${choice.sentence}`);
      resetSocket(accepted);
      return;
    }
    const relay = new EntranceRelay(this.#scope, this, accepted, choice, source);
    this.relays.add(relay);
    const denied = this.#denied(relay, accepted, serverName);
    if (denied === undefined) relay.begin(hello, said);
    else relay.refuse(denied, hello);
  }

  /** What policies say of it: who calls is what they can know of a connection that is not read. */
  #denied(relay: EntranceRelay, accepted: Socket, serverName: string): Failure | undefined {
    const { guard } = this.#listener.plan;
    if (guard === undefined) return undefined;
    const { record } = relay.report;
    const caller = makeCaller(
      { port: this.#listener.port },
      accepted,
      undefined,
      plainAddress(accepted.remoteAddress ?? ''),
      serverName,
    );
    caller.setRemote(record.peerAddress);
    const denied = guard.onConnection(caller, record);
    if (denied === undefined) return undefined;
    relay.report.detail = guard.detail;
    this.#warnings.warn(`${this.#listener.name}: ${guard.detail}`);
    return denied;
  }

  #open(accepted: Socket, source: PeerAddress | undefined): DownstreamConnection {
    const owner = new EntranceOwner(this.#listener, undefined, source, '', '');
    const connection = new DownstreamConnection(this.#scope, owner, accepted);
    this.#listener.connections.add(connection);
    return connection;
  }

  onRefused(why: string): void {
    this.#scope.counts.failedHandshakes++;
    this.#warnings.warn(`${this.#listener.name}: ${why}`);
  }

  onOver(arrival: EntranceArrival): void {
    this.#arrivals.delete(arrival);
  }

  onRelayClosed(relay: EntranceRelay): void {
    this.relays.delete(relay);
  }

  /** Nothing is under way that the listener does not know. */
  get isEmpty(): boolean {
    return this.#arrivals.size + this.relays.size === 0;
  }

  /** Ends all that the listener does not know. */
  destroy(): void {
    for (const relay of [...this.relays]) relay.destroy();
    for (const arrival of [...this.#arrivals]) arrival.destroy();
  }
}
