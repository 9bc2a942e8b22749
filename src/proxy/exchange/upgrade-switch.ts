/**
 * A connection that has switched protocols (101): a tunnel, and what is counted until it ends.
 *
 *   exchange ──101──► UpgradedConnection ── ByteTunnel: bytes of both sides, unread, as they come
 *
 * Nothing of the exchange is kept but its trace: tables come and go without the tunnel noticing. It is
 * still load of its endpoint, it has no idle limit (a quiet WebSocket is not a dead one: the kernel
 * asks), and the end of a drain cuts it.
 */

import { Detected } from '../../telemetry/record/detection.ts';
import type { ExchangeRecord } from '../../telemetry/record/exchange-record.ts';
import { upgradeTokens } from '../../wire/http1/upgrade-tokens.ts';
import type { Endable, ProxyScope } from '../scope/proxy-scope.ts';
import { printAddress } from '../socket/print-address.ts';
import { keepUrgentData } from '../socket/urgent-data.ts';
import { ByteTunnel, type TunnelOwner } from '../tunnel/byte-tunnel.ts';
import { ConnectionReport } from '../tunnel/connection-report.ts';
import type { EndpointPool } from '../upstream/endpoint-pool.ts';
import type { UpstreamConnection } from '../upstream/upstream-connection.ts';
import type { ConnectionOwner, DownstreamConnection } from './downstream-connection.ts';

/** Both ends, and the endpoint whose load the upstream is. */
export interface SwitchedEnds {
  readonly downstream: DownstreamConnection;
  /** Its head is that of the 101. */
  readonly upstream: UpstreamConnection;
  readonly pool: EndpointPool;
}

export class UpgradedConnection implements Endable, TunnelOwner {
  /** Of the downstream connection that it was. */
  readonly id: number;
  readonly peer: string;
  readonly requests: number;
  readonly tunnel: ByteTunnel;
  readonly #owner: ConnectionOwner;
  readonly #pool: EndpointPool;
  /** Who is there has not been proved. */
  readonly #isPlain: boolean;

  /** `exchange`: the record of the one that switched, whose span is the parent of this one's. */
  constructor(
    scope: ProxyScope,
    owner: ConnectionOwner,
    ends: SwitchedEnds,
    exchange: ExchangeRecord,
  ) {
    const { downstream, upstream, pool } = ends;
    const { socket } = downstream;
    this.#owner = owner;
    this.#pool = pool;
    this.#isPlain = downstream.meshPeer === undefined;
    this.id = downstream.id;
    this.peer = printAddress(downstream.peerAddress, downstream.peerPort);
    this.requests = downstream.requests;
    const now = scope.clock.now();
    const report = new ConnectionReport(scope, owner.plan.listener.direction, now);
    report.from(socket);
    report.begin(exchange);
    const isWebSocket = upgradeTokens(upstream.head).includes('websocket');
    report.upgradedTo(isWebSocket ? Detected.WebSocket : Detected.Upgraded);
    report.connected(upstream);
    scope.counts.switches++;
    const both = { downstream: socket, upstream };
    this.tunnel = new ByteTunnel(scope, both, report, this, Number.POSITIVE_INFINITY);
    keepUrgentData(upstream.socket);
  }

  /** Its port takes mutual TLS alone by now: who came without is cut. */
  endRefused(): void {
    if (this.#isPlain && this.#owner.isStrict === true) this.destroy();
  }

  /** Ends at once, by RST on both sides. */
  destroy(): void {
    this.tunnel.destroy();
  }

  onTunnelClosed(): void {
    this.#pool.inFlight--;
    this.#owner.onTunnelClosed(this);
  }
}
