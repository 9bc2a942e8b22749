/**
 * The connections to one endpoint: idle ones to lend, and how many requests are under way.
 *
 * The last one returned is lent first, so that the rest grow old and close. A connection that shows
 * any doubt never comes here: `giveBack` is called only after a response that ended exactly where
 * its framing said. One pool serves all clusters that name the endpoint, so their loads add up.
 */

import type { EndpointLoad } from '../../balancing/pick-endpoint.ts';
import type { Milliseconds } from '../../base/clock.ts';
import type { ZoneBytes } from '../../telemetry/metrics/zone-bytes.ts';
import type { ProxyScope } from '../scope/proxy-scope.ts';
import { printAddress } from '../socket/print-address.ts';
import type { TlsProblem } from '../tls/tls-problem.ts';
import type { UpstreamConnection } from './upstream-connection.ts';
import { isProblem, type TlsClient } from './upstream-tls.ts';

export class EndpointPool implements EndpointLoad {
  readonly address: string;
  readonly port: number;
  /** NameTable id of `address:port`; 0 where addresses come from traffic, which names are not for. */
  readonly endpointId: number;
  /** What its sidecar says is believed, if it has one; `isMeshed`: it has shown that it has. */
  readonly isPeer: boolean;
  isMeshed = false;
  /** Bytes of attempts, by the zone that the newest table gives the endpoint. */
  bytes: ZoneBytes;
  /** Requests under way, from the choice of this endpoint to the end of the exchange. */
  inFlight = 0;
  /** Requests ever sent here, for people. */
  requests = 0;
  /** No table names this endpoint any more: what comes back is closed. */
  isRetired = false;
  /** NameTable id of the SPIFFE id that every connection here has proved; 0: none. */
  readonly principalId: number;
  /** How its connections are secured; undefined: they carry the bytes as they are. */
  readonly tls: TlsClient | undefined;
  readonly #scope: ProxyScope;
  readonly #idle: UpstreamConnection[] = [];

  constructor(scope: ProxyScope, address: string, port: number, isNamed = true, tls?: TlsClient) {
    this.#scope = scope;
    this.tls = tls;
    const identity = tls?.identity ?? '';
    this.principalId = identity === '' ? 0 : scope.telemetry.names.idOf(identity);
    this.address = address;
    this.port = port;
    this.bytes = scope.telemetry.metrics.zones.outbound('');
    this.isPeer = scope.peers.has(address);
    this.endpointId = isNamed ? scope.telemetry.names.idOf(printAddress(address, port)) : 0;
  }

  /** Why no connection can be dialled at the moment, which is logged; undefined: one can. */
  refusal(): TlsProblem | undefined {
    const dial = this.tls?.dial(true);
    if (dial === undefined || !isProblem(dial)) return undefined;
    const where = printAddress(this.address, this.port);
    const text = `outbound: ${where}: ${dial.failure.cause}: ${dial.detail}`;
    this.#scope.tlsProblems.warn(where, text);
    return dial;
  }

  get idleCount(): number {
    return this.#idle.length;
  }

  /** The idle connection that was used last (or a spare one, still being dialled), or undefined. */
  takeIdle(): UpstreamConnection | undefined {
    return this.#idle.pop();
  }

  /** Keeps an idle connection for the next request; false when it has to be closed instead. */
  giveBack(upstream: UpstreamConnection, now: Milliseconds): boolean {
    if (this.isRetired || this.#idle.length >= this.#scope.limits.poolIdlePerEndpointMax) {
      return false;
    }
    if (!upstream.isCurrentAt(now)) return false;
    this.#idle.push(upstream);
    return true;
  }

  /** Takes out an idle connection that has ended. */
  forget(upstream: UpstreamConnection): void {
    const index = this.#idle.indexOf(upstream);
    if (index !== -1) this.#idle.splice(index, 1);
  }

  /** Closes what is idle and was made with older keys or roots than those in force. */
  closeOld(): void {
    const now = this.#scope.clock.now();
    const old = this.#idle.filter((each) => !each.isCurrentAt(now));
    for (const upstream of old) upstream.destroy(false);
  }

  /** Closes what is idle; with `isRetired` set nothing comes back later. */
  closeIdle(): void {
    for (let upstream = this.#idle.pop(); upstream !== undefined; upstream = this.#idle.pop()) {
      upstream.destroy(false);
    }
  }
}
