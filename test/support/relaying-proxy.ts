/**
 * A capturing proxy in a process of its own that tells what it keeps in memory, for tests that count it.
 *
 *   node --expose-gc relaying-proxy.ts UPSTREAM_PORT
 *
 * Prints its outbound port; each message of the parent is answered by a RelayingState.
 */

import { readFileSync } from 'node:fs';
import { systemClock } from '../../src/base/clock.ts';
import { systemWakeUps } from '../../src/base/deadlines.ts';
import { systemRandom } from '../../src/base/random.ts';
import { trafficLimits } from '../../src/model/limits.ts';
import { ProxyServer } from '../../src/proxy/proxy-server.ts';
import { MetricRegistry } from '../../src/telemetry/metrics/metrics.ts';
import { NameTable } from '../../src/telemetry/record/name-table.ts';
import { capturePlanOf, tableOf } from './tables.ts';

export interface RelayingState {
  readonly connections: number;
  /** Of V8's heap and of buffers, after a collection. */
  readonly heapBytes: number;
  /** Of the whole process, as the kernel counts what it shares with nobody. */
  readonly privateBytes: number;
}

const destination = { address: '127.0.0.1', port: Number(process.argv[2]) };
const proxy = new ProxyServer({
  clock: systemClock,
  random: systemRandom,
  wakeUps: systemWakeUps,
  limits: trafficLimits,
  telemetry: {
    isExporting: false,
    names: new NameTable(() => undefined, 10_000),
    metrics: new MetricRegistry(),
    beginSpan() {},
    finish() {},
    decide: () => false,
    learn() {},
    keep: () => 0,
    verdictOf: () => false,
  },
  log: (level, text) => process.stderr.write(`# ${level} ${text}\n`),
  capture: {
    originalDestination: { read: () => destination },
    ownAddresses: [],
    ports: { outbound: 0, inbound: 0 },
  },
});
await proxy.apply({ ...tableOf([], []), capture: capturePlanOf() });
const outbound = proxy.addresses().find(({ name }) => name === 'capture|outbound');

process.on('message', () => {
  const { gc } = globalThis as unknown as { gc(): void };
  gc();
  gc();
  const { heapUsed, external } = process.memoryUsage();
  const kept = /^Private_Dirty: +(\d+) kB$/m.exec(readFileSync('/proc/self/smaps_rollup', 'utf8'));
  const state: RelayingState = {
    connections: proxy.snapshot().connections.downstreamOpen,
    heapBytes: heapUsed + external,
    privateBytes: Number(kept?.[1]) * 1024,
  };
  process.send?.(state);
});
process.stdout.write(`${outbound!.port}\n`);
