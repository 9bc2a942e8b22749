/**
 * The connections to one endpoint: idle ones to lend, and how many requests are under way.
 *
 * The last one returned is lent first, so that the rest grow old and close. A connection that shows
 * any doubt never comes here: `giveBack` is called only after a response that ended exactly where
 * its framing said. One pool serves all clusters that name the endpoint, so their loads add up.
 */

import type { EndpointLoad } from '../../balancing/pick-endpoint.ts';
import type { Milliseconds } from '../../base/clock.ts';
import type { ZoneBytes } from '../../telemetry/zone-bytes.ts';
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
  /** Come back, but the end of their last request is still on its way to the kernel. */
  readonly #sending: UpstreamConnection[] = [];

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
    return this.#keep(upstream, this.#idle, now);
  }

  /**
   * As `giveBack`, of one whose peer has answered before all that was written had gone: nobody gets it until
   * `sent`, because a peer that reads no more would keep the next request waiting.
   */
  giveBackSending(upstream: UpstreamConnection, now: Milliseconds): boolean {
    return this.#keep(upstream, this.#sending, now);
  }

  /** All has gone. Nothing happens where the connection has ended meanwhile. */
  sent(upstream: UpstreamConnection, now: Milliseconds): void {
    if (!remove(this.#sending, upstream)) return;
    if (!this.giveBack(upstream, now)) upstream.destroy(false);
  }

  #keep(upstream: UpstreamConnection, list: UpstreamConnection[], now: Milliseconds): boolean {
    const most = this.#scope.limits.poolIdlePerEndpointMax;
    if (this.isRetired || this.#idle.length + this.#sending.length >= most) return false;
    if (!upstream.isCurrentAt(now)) return false;
    list.push(upstream);
    return true;
  }

  /** Takes out an idle connection that has ended. */
  forget(upstream: UpstreamConnection): void {
    if (!remove(this.#idle, upstream)) remove(this.#sending, upstream);
  }

  /** Closes what is idle and was made with older keys or roots than those in force. */
  closeOld(): void {
    const now = this.#scope.clock.now();
    const old = [...this.#idle, ...this.#sending].filter((each) => !each.isCurrentAt(now));
    for (const upstream of old) upstream.destroy(false);
  }

  /** Closes what is idle; with `isRetired` set nothing comes back later. */
  closeIdle(): void {
    const idle = [...this.#idle.splice(0), ...this.#sending.splice(0)];
    for (const upstream of idle) upstream.destroy(false);
  }
}

/** Whether it was there. */
function remove(list: UpstreamConnection[], upstream: UpstreamConnection): boolean {
  const index = list.indexOf(upstream);
  if (index !== -1) list.splice(index, 1);
  return index !== -1;
}
