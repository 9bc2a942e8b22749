/**
 * What one connection that came in by an entrance asks of its listener: as any connection does, and by
 * which server of the Gateways it came.
 */

import type { ConnectionOwner, DownstreamConnection } from '../exchange/downstream-connection.ts';
import type { UpgradedConnection } from '../exchange/upgrade-switch.ts';
import type { EntranceServer } from '../plan/entrance.ts';
import type { ListenerPlan } from '../plan/plan.ts';

/** An address and port that a connection comes from. */
export interface PeerAddress {
  readonly address: string;
  readonly port: number;
}

export class EntranceOwner implements ConnectionOwner {
  readonly isCaptured = false;
  readonly passthrough = undefined;
  readonly known = undefined;
  readonly isDenying = false;
  readonly isEntrance = true;
  /** Undefined without TLS: each request says. */
  readonly server: EntranceServer | undefined;
  /** Where it comes from by its PROXY header; undefined: from its peer. */
  readonly source: PeerAddress | undefined;
  /** What goes on of the certificate that downstream has shown; '' for none. */
  readonly certificate: string;
  /** Whom that certificate names, for spans and logs; '' for nobody. */
  readonly subject: string;
  readonly #listener: ConnectionOwner;

  constructor(
    listener: ConnectionOwner,
    server: EntranceServer | undefined,
    source: PeerAddress | undefined,
    certificate: string,
    subject: string,
  ) {
    this.#listener = listener;
    this.server = server;
    this.source = source;
    this.certificate = certificate;
    this.subject = subject;
  }

  get plan(): ListenerPlan {
    return this.#listener.plan;
  }

  get port(): number {
    return this.#listener.port;
  }

  get isRetired(): boolean {
    return this.#listener.isRetired;
  }

  /** Never asked for: nothing is denied here. */
  deniedDetail(): string {
    return '';
  }

  onConnectionClosed(connection: DownstreamConnection): void {
    this.#listener.onConnectionClosed(connection);
  }

  onSwitched(connection: DownstreamConnection, tunnel: UpgradedConnection): void {
    this.#listener.onSwitched(connection, tunnel);
  }

  onTunnelClosed(tunnel: UpgradedConnection): void {
    this.#listener.onTunnelClosed(tunnel);
  }
}
