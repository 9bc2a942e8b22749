/**
 * A proxy in a process of its own, for tests that starve it: prints its port and serves one
 * upstream.
 *
 *   node starved-proxy.ts UPSTREAM_PORT
 */

import { systemClock } from '../../src/base/clock.ts';
import { systemWakeUps } from '../../src/base/deadlines.ts';
import { systemRandom } from '../../src/base/random.ts';
import { trafficLimits } from '../../src/model/limits.ts';
import { ProxyServer } from '../../src/proxy/proxy-server.ts';
import { MemoryTelemetry } from './memory-telemetry.ts';
import { clusterOf, listenerOf, ruleOf, tableOf } from './tables.ts';

const proxy = new ProxyServer({
  clock: systemClock,
  random: systemRandom,
  wakeUps: systemWakeUps,
  limits: trafficLimits,
  telemetry: new MemoryTelemetry(),
  log: (level, text) => process.stderr.write(`# ${level} ${text}\n`),
});
const upstreamPort = Number(process.argv[2]);
await proxy.apply(tableOf([listenerOf([ruleOf()])], [clusterOf([upstreamPort])]));
process.stdout.write(`${proxy.addresses()[0]!.port}\n`);
