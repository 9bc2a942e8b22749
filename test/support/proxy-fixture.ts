/**
 * A real ProxyServer on a free port with a hand-made table, an in-memory telemetry and short
 * limits.
 *
 * `t.after` closes it and then checks what every test wants: no bug was met, no exchange is left
 * under way, no deadline is left behind.
 */

import assert from 'node:assert/strict';
import type { TestContext } from 'node:test';
import { systemClock } from '../../src/base/clock.ts';
import { systemWakeUps } from '../../src/base/deadlines.ts';
import { type Random, seededRandom } from '../../src/base/random.ts';
import type { MeshIdentity } from '../../src/identity/mesh-identity.ts';
import { type TrafficLimits, trafficLimits } from '../../src/model/limits.ts';
import type { RoutingTable } from '../../src/model/routing-table.ts';
import type { ClientCertMode } from '../../src/model/security.ts';
import { ProxyServer } from '../../src/proxy/proxy-server.ts';
import type {
  CaptureOptions,
  OutsideTrust,
  ProxyTracing,
} from '../../src/proxy/scope/proxy-scope.ts';
import type { ManualTime } from './manual-time.ts';
import { MemoryTelemetry } from './memory-telemetry.ts';
import { connectRaw, type RawConnection } from './raw-connection.ts';
import { type OriginScript, RawOrigin } from './raw-origin.ts';
import { clusterOf, listenerOf, ruleOf, tableOf } from './tables.ts';

export interface ProxyFixture {
  readonly proxy: ProxyServer;
  readonly telemetry: MemoryTelemetry;
  /** Port of the first listener. */
  readonly port: number;
  /** Lines of the log. */
  readonly log: string[];
  /** A new downstream connection, to the first listener unless `to` is another port. */
  connect(to?: number): Promise<RawConnection>;
}

export interface FixtureOptions {
  readonly table: RoutingTable;
  readonly limits?: Partial<TrafficLimits>;
  readonly random?: Random;
  readonly capture?: CaptureOptions;
  readonly tracing?: ProxyTracing;
  /** Who the workload is. */
  readonly mesh?: MeshIdentity;
  /** What its table names as `secret:...`. */
  readonly credentials?: ReadonlyMap<string, string>;
  /** What it tells of certificates; otherwise what a sidecar does that nobody has told. */
  readonly clientCertMode?: ClientCertMode;
  /** Who stands before its Gateways. */
  readonly outside?: OutsideTrust;
  /** The capture ports are opened and the table is not applied: the test does it, or not. */
  readonly isParking?: boolean;
  /** Time that the test moves. */
  readonly time?: ManualTime;
  /** Names that telemetry has ids for; more than enough unless said. */
  readonly namesMax?: number;
  /** Bugs that the test provokes on purpose. */
  readonly bugsExpected?: number;
}

export async function startProxy(t: TestContext, options: FixtureOptions): Promise<ProxyFixture> {
  const telemetry = new MemoryTelemetry(options.namesMax);
  const log: string[] = [];
  const proxy = new ProxyServer({
    clock: options.time?.clock ?? systemClock,
    random: options.random ?? seededRandom(7),
    wakeUps: options.time ?? systemWakeUps,
    limits: { ...trafficLimits, ...options.limits },
    telemetry,
    log: (level, text) => log.push(`${level} ${text}`),
    ...(options.capture === undefined ? {} : { capture: options.capture }),
    ...(options.tracing === undefined ? {} : { tracing: options.tracing }),
    ...(options.mesh === undefined ? {} : { mesh: options.mesh }),
    ...(options.clientCertMode === undefined ? {} : { clientCertMode: options.clientCertMode }),
    ...(options.outside === undefined ? {} : { outside: options.outside }),
  });
  const { isParking = false, table } = options;
  proxy.setCredentials(options.credentials ?? new Map());
  const errors = await (isParking ? proxy.openCaptures() : proxy.apply(table));
  assert.deepEqual(errors, []);
  const downstreams: RawConnection[] = [];
  t.after(async () => {
    for (const downstream of downstreams) downstream.socket.destroy();
    const closed = proxy.close();
    await (options.time?.advanceUntil(closed) ?? closed);
    const { counts, connections } = proxy.snapshot();
    assert.equal(counts.bugs, options.bugsExpected ?? 0, log.join('\n'));
    assert.equal(connections.exchangesActive, 0, 'an exchange never ended');
    assert.equal(connections.downstreamOpen, 0, 'a downstream connection is left');
    assert.equal(connections.upstreamOpen, 0, 'an upstream connection is left');
    assert.equal(connections.deadlines, 0, 'a deadline is left');
    for (const { endpoints, pending } of proxy.snapshot().clusters) {
      assert.equal(pending, 0, 'an exchange still counts as waiting');
      for (const { inFlight } of endpoints) assert.equal(inFlight, 0, 'a request still in flight');
    }
  });
  const port = proxy.addresses()[0]?.port ?? 0;
  const connect = async (to = port) => {
    const downstream = await connectRaw(to);
    downstreams.push(downstream);
    return downstream;
  };
  return { proxy, telemetry, port, log, connect };
}

export interface PairFixture extends ProxyFixture {
  readonly origin: RawOrigin;
}

/** One outbound listener in front of one scripted upstream. */
export async function startPair(
  t: TestContext,
  script: OriginScript,
  over: Omit<FixtureOptions, 'table'> & { readonly direction?: 'inbound' | 'outbound' } = {},
): Promise<PairFixture> {
  const origin = await RawOrigin.start(script);
  t.after(() => origin.close());
  const direction = over.direction ?? 'outbound';
  const table = tableOf([listenerOf([ruleOf()], { direction })], [clusterOf([origin.port])]);
  const fixture = await startProxy(t, { table, ...over });
  return { ...fixture, origin };
}

/** A GET as plain as it gets; `fields` are whole lines. */
export function getOf(path: string, fields = ''): string {
  return `GET ${path} HTTP/1.1\r\nHost: service\r\n${fields}\r\n`;
}

export function postOf(path: string, body: string, fields = ''): string {
  const length = `Content-Length: ${body.length}\r\n`;
  return `POST ${path} HTTP/1.1\r\nHost: service\r\n${length}${fields}\r\n${body}`;
}
