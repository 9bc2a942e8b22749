/**
 * An entrance: a port of Gateways made ready. Which server has a name, and what it does with it.
 *
 *   name ──► the server that names it most exactly ──► TLS of its certificate, TLS relayed, or refused
 *
 * With TLS the name of the ClientHello chooses, and later each request's authority must be one that the
 * same certificate is for (421 else: RFC 9110 15.5.20). Without TLS the authority alone chooses.
 */

import { type Failure, failure } from '../../model/failure.ts';
import type { GatewayPort, GatewayServer } from '../../model/routing-table.ts';
import { Domains } from '../../routing/route-index.ts';
import { nextWeighted } from '../../routing/weighted-choice.ts';
import type { MessageHead } from '../../wire/http1/message-head.ts';
import { type TlsServer, tlsIdentity } from '../tls/tls-server.ts';
import type { DestinationPlan } from './capture-lookup.ts';
import type { ConnectionChoice } from './connection-choice.ts';

export interface EntranceServer {
  readonly server: GatewayServer;
  /** Set where TLS ends here; servers with the same files share it. */
  readonly tls: TlsServer | undefined;
  /** Of servers with the same, each may be asked over the connections of the other; '' without TLS. */
  readonly identity: string;
}

interface UnloadedServer {
  readonly listener: string;
  readonly file: string;
  readonly problem: string;
  readonly server: string;
  readonly isPartial: boolean;
}

export class Entrance {
  readonly isSecure: boolean;
  readonly servers: readonly EntranceServer[];
  /** For connections that are relayed unread; undefined where none are. */
  readonly relay: DestinationPlan | undefined;
  /** Where TLS is spoken to the same gateways: what redirects lead to, for who came with a port. */
  readonly httpsPort: number;
  readonly #domains: Domains;

  constructor(
    { isSecure, servers }: GatewayPort,
    tlsOf: (server: GatewayServer) => TlsServer | undefined,
    relay: DestinationPlan | undefined,
    httpsPort: number,
  ) {
    this.isSecure = isSecure;
    this.servers = servers.map((server) => {
      const { tls } = server;
      return { server, tls: tlsOf(server), identity: tls === undefined ? '' : tlsIdentity(tls) };
    });
    this.relay = relay;
    this.httpsPort = httpsPort;
    this.#domains = new Domains(servers.map(({ hosts }) => hosts));
  }

  /** @param name lower-case, without port and trailing dot; '' for none, which only `*` takes */
  serverOf(name: string): EntranceServer | undefined {
    return this.servers[this.#domains.find(name)];
  }

  /** Servers of this port whose certificate has never been read. */
  unloaded(listener: string): readonly UnloadedServer[] {
    const isMissing = ({ tls }: EntranceServer) => tls !== undefined && tls.whyUnloaded !== '';
    const missing = this.servers.filter(isMissing);
    const isPartial = missing.length < this.servers.length;
    return missing.map(({ server, tls }) => ({
      listener,
      file: server.tls?.certificateFile ?? '',
      problem: tls?.whyUnloaded ?? '',
      server: server.name,
      isPartial,
    }));
  }

  /** Where a connection that asks for `name` is relayed to. */
  chooseRelay(name: string): ConnectionChoice | Failure {
    const { relay } = this;
    const rule = relay?.connections[relay.rules.match(name, relay.destination.address)];
    if (rule === undefined) return failure['no-route'];
    const { broken } = rule.rule;
    if (broken !== undefined) return failure[broken];
    const backend = rule.backends[nextWeighted(rule.weights)];
    return backend === undefined ? failure['no-backend'] : { backend, rule, pinned: undefined };
  }

  /** Whether a request for `hostname` came by a connection that is not for it. */
  isMisdirected(hostname: string, came: EntranceServer | undefined): boolean {
    if (!this.isSecure) return false;
    const meant = this.serverOf(hostname);
    return meant !== undefined && meant.identity !== came?.identity;
  }

  /**
   * Whether a target in absolute-form names what is not here: a scheme that neither the connection nor its
   * client (`isHttps`) has come by, or a host of no server of this port (RFC 9110 sections 7.4 and 15.5.20).
   */
  isElsewhere({ targetScheme, view }: MessageHead, isHttps: boolean): boolean {
    if (targetScheme === '') return false;
    const isMeant = targetScheme === 'https' ? isHttps : !(isHttps && this.isSecure);
    return !isMeant || this.serverOf(view.hostname) === undefined;
  }

  /** Whether a request is told to come by https; one that asks for it in plain text is elsewhere. */
  redirects({ targetScheme, view }: MessageHead): boolean {
    if (this.isSecure || targetScheme === 'https') return false;
    return this.serverOf(view.hostname)?.server.action === 'redirect';
  }
}
