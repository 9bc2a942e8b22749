/**
 * What a handshake of the mesh costs: full ones, mutual, P-256, TLS 1.3, no session is resumed.
 *
 * `node bench/micro/handshake.ts`. A ProxyServer in this thread takes them on a STRICT port, a second thread
 * dials with node:tls, eight at a time. What counts is the CPU time of this thread for each, connection,
 * certificate check and end included; the bar is of issue 8: 800 a second of one core, 1250 us each.
 */

import { writeSync } from 'node:fs';
import { type ConnectionOptions, connect } from 'node:tls';
import { isMainThread, parentPort, Worker, workerData } from 'node:worker_threads';
import { systemClock } from '../../src/base/clock.ts';
import { systemWakeUps } from '../../src/base/deadlines.ts';
import { systemRandom } from '../../src/base/random.ts';
import { trafficLimits } from '../../src/model/limits.ts';
import { usualSecurity } from '../../src/model/security.ts';
import { ProxyServer } from '../../src/proxy/proxy-server.ts';
import { MemoryTelemetry } from '../../test/support/memory-telemetry.ts';
import { makeIdentity, makeLeaf, makeRoot } from '../../test/support/mesh-material.ts';
import { clusterOf, listenerOf, ruleOf, tableOf } from '../../test/support/tables.ts';

const rounds = 7;
const handshakesPerRound = 400;
const atOnce = 8;

interface CallerOrder {
  readonly port: number;
  readonly cert: string;
  readonly key: string;
  readonly ca: string;
}

if (isMainThread) await serve();
else call(workerData as CallerOrder);

async function serve(): Promise<void> {
  const root = makeRoot();
  const proxy = new ProxyServer({
    ...{ clock: systemClock, random: systemRandom, wakeUps: systemWakeUps, limits: trafficLimits },
    telemetry: new MemoryTelemetry(),
    log: (_level, text) => writeSync(2, `${text}\n`),
    mesh: makeIdentity(root, { serviceAccount: 'web' }),
  });
  const inbound = listenerOf([ruleOf()], { direction: 'inbound' });
  const security = { ...usualSecurity, mode: 'strict' } as const;
  const errors = await proxy.apply({ ...tableOf([inbound], [clusterOf([9])]), security });
  if (errors.length > 0) throw new Error(JSON.stringify(errors));
  const leaf = makeLeaf(root, { serviceAccount: 'cart' });
  const order: CallerOrder = {
    port: proxy.snapshot().listeners[0]!.port,
    ...{ cert: leaf.certificates, key: leaf.privateKey, ca: root.roots },
  };
  const caller = new Worker(new URL(import.meta.url), { workerData: order });
  const ended = () => new Promise((resolve) => caller.once('message', resolve));
  const costs: number[] = [];
  for (let round = -1; round < rounds; round++) {
    const before = process.threadCpuUsage();
    caller.postMessage(handshakesPerRound);
    await ended();
    const { user, system } = process.threadCpuUsage(before);
    // The first one is for the compilers.
    if (round >= 0) costs.push((user + system) / handshakesPerRound);
  }
  await caller.terminate();
  await proxy.close();
  const median = costs.toSorted((first, second) => first - second)[rounds >> 1]!;
  const all = costs.map((cost) => cost.toFixed(0)).join(' ');
  writeSync(1, `${median.toFixed(0)} us of CPU a handshake (rounds: ${all})\n`);
  writeSync(1, `${Math.round(1e6 / median)} full mutual handshakes a second of one core\n`);
}

/** So many as each message says; answers when they are done. */
function call({ port, cert, key, ca }: CallerOrder): void {
  parentPort!.on('message', (count: number) => {
    let [begun, done] = [0, 0];
    const next = () => {
      if (begun === count) return;
      begun += 1;
      const options: ConnectionOptions = {
        ...{ port, host: '127.0.0.1', cert, key, ca, ALPNProtocols: ['tracecar/1'] },
        ...{ minVersion: 'TLSv1.3', checkServerIdentity: () => undefined },
      };
      const secure = connect(options, () => secure.end());
      secure.on('error', (error) => {
        throw error;
      });
      secure.on('close', () => {
        done += 1;
        if (done === count) parentPort!.postMessage('done');
        else next();
      });
      secure.resume();
    };
    for (let each = 0; each < atOnce; each++) next();
  });
}
