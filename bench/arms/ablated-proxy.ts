/**
 * Tracecar's proxy with parts left out that no switch of the product leaves out, for the price list.
 *
 *   relay     bytes of a connection passed on unread (what captured traffic is that is no HTTP)
 *   parse     HTTP read, checked and printed again, sent where the connection was going; no rule
 *   route     a rule found by authority and path, one destination
 *   balance   the same with a choice by weight between two subsets
 *
 * None of them counts a metric, fills a ring or has a telemetry worker. It is made of the product's own
 * classes and is no product: no administration, no drain. Arguments: STEP PORT BACKEND-PORT RESOURCES.
 */

import { readFileSync } from 'node:fs';
import type { Socket } from 'node:net';
import { systemClock } from '../../src/base/clock.ts';
import { systemWakeUps } from '../../src/base/deadlines.ts';
import { systemRandom } from '../../src/base/random.ts';
import { compileTable, readResources } from '../../src/config/load.ts';
import { trafficLimits } from '../../src/model/limits.ts';
import type { CapturePlan, RoutingTable } from '../../src/model/routing-table.ts';
import { ProxyServer } from '../../src/proxy/proxy-server.ts';
import { AcceptSocket } from '../../src/proxy/scope/accept-socket.ts';
import { type ProxyOptions, ProxyScope } from '../../src/proxy/scope/proxy-scope.ts';
import { adoptSocket, type ByteTaker } from '../../src/proxy/socket/socket-reads.ts';
import { ByteTunnel } from '../../src/proxy/tunnel/byte-tunnel.ts';
import { ConnectionReport } from '../../src/proxy/tunnel/connection-report.ts';
import { EndpointPool } from '../../src/proxy/upstream/endpoint-pool.ts';
import {
  UpstreamConnection,
  type UpstreamUser,
} from '../../src/proxy/upstream/upstream-connection.ts';
import { MetricRegistry, type RequestLabels } from '../../src/telemetry/metrics/metrics.ts';
import { RequestSeries } from '../../src/telemetry/metrics/request-series.ts';
import { NameTable } from '../../src/telemetry/record/name-table.ts';
import type { HotTelemetry } from '../../src/telemetry/telemetry.ts';
import type { AblationStep } from './ablation.ts';

const noCells = { left: 0, peersLeft: 0, seriesMax: 0 };

class SilentSeries extends RequestSeries {
  override observe(): void {}
}

class SilentRegistry extends MetricRegistry {
  override requestSeries(labels: RequestLabels): RequestSeries {
    return new SilentSeries(labels, 0, noCells);
  }

  override lastingSeries(labels: RequestLabels): RequestSeries {
    return new SilentSeries(labels, 0, noCells);
  }
}

class SilentTelemetry implements HotTelemetry {
  readonly isExporting = false;
  readonly names: NameTable = new NameTable(() => undefined, 10_000);
  readonly metrics: MetricRegistry = new SilentRegistry();

  beginSpan(): void {}

  finish(): void {}

  decide(): boolean {
    return false;
  }

  learn(): void {}

  keep(): number {
    return 0;
  }

  verdictOf(): boolean {
    return false;
  }
}

const [step, portText, backendText, resources] = process.argv.slice(2) as [
  AblationStep,
  ...string[],
];
const port = Number(portText);
const destination = { address: '127.0.0.1', port: Number(backendText) };
const options: ProxyOptions = {
  clock: systemClock,
  random: systemRandom,
  wakeUps: systemWakeUps,
  limits: trafficLimits,
  telemetry: new SilentTelemetry(),
  log: (level, text) => process.stderr.write(`${level} ${text}\n`),
};

const nothingCaptured: CapturePlan = {
  outbound: [],
  inbound: [],
  destinations: [],
  outboundPolicy: 'allow-any',
};

/** A connection that is relayed from its first byte on: what follows on detection in the product. */
class Relayed implements ByteTaker {
  readonly socket: Socket;
  readonly report: ConnectionReport;
  readonly #tunnel: ByteTunnel;

  constructor(scope: ProxyScope, pool: EndpointPool, accepted: Socket) {
    this.report = new ConnectionReport(scope, 'outbound', scope.clock.now());
    this.report.from(accepted, destination);
    this.socket = adoptSocket(accepted, this, scope.sockets);
    const timeoutMs = scope.limits.connectPassthroughMs;
    const upstream = new UpstreamConnection(scope, pool, scope.outbound, nobody, timeoutMs);
    const ends = { downstream: this.socket, upstream };
    this.#tunnel = new ByteTunnel(scope, ends, this.report, this, scope.limits.opaqueIdleMs);
  }

  onBytes(chunk: Buffer): void {
    this.#tunnel.onBytes(chunk);
  }

  onTunnelClosed(): void {}
}

/** Until the relay takes the connection over, which is before anything can happen on it. */
const nobody: UpstreamUser = {
  onUpstreamConnected() {},
  onUpstreamBytes() {},
  onUpstreamDrained() {},
  onUpstreamEnded() {},
  onUpstreamLost() {},
  onConnectTimeout() {},
  destroy() {},
};

async function relay(): Promise<void> {
  const scope = new ProxyScope(options);
  const pool = new EndpointPool(scope, destination.address, destination.port, false);
  const listener = new AcceptSocket(scope, 'relay', ({ socket }) => {
    new Relayed(scope, pool, socket);
  });
  await listener.listen('127.0.0.1', port);
}

/** Captured connections to a port that no resource names go on to where they were going. */
async function parse(): Promise<void> {
  const proxy = new ProxyServer({
    ...options,
    capture: {
      originalDestination: { read: () => destination },
      ownAddresses: [],
      ports: { outbound: port, inbound: 0 },
    },
  });
  await proxy.apply({ ...tableOf(''), capture: nothingCaptured });
}

async function route(): Promise<void> {
  const proxy = new ProxyServer(options);
  const errors = await proxy.apply(tableOf(readFileSync(resources!, 'utf8')));
  if (errors.length > 0) throw new Error(JSON.stringify(errors));
}

function tableOf(text: string): RoutingTable {
  const read = readResources([{ file: 'bench.yaml', text }]);
  const context = { namespace: 'bench', labels: {}, generation: 1, capture: 'none' } as const;
  return compileTable(read.resources, context).table;
}

await { relay, parse, route, balance: route }[step]();
