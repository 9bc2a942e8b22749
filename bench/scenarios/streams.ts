/**
 * B12, streams: what is no plain request and answer, beside what is.
 *
 *   h1           the round trip that the others are compared with: 100 bytes on a kept connection
 *   websocket    a message and its echo after an upgrade
 *   first byte   from the request for server-sent events to the first byte of the answer
 *   event        from the sending of each event to its arrival
 *   http2        a request with prior knowledge: relayed unread, through a captured connection
 *
 * HTTP/2 is no traffic of an explicit listener: it is measured in network namespaces, beside HAProxy and
 * Envoy as TCP proxies. Callers are programs of their own (load/stream-caller.ts), one for each cell.
 */

import { join } from 'node:path';
import { besideArms } from '../arms/beside.ts';
import { findRival, root } from '../arms/find.ts';
import type { StreamAnswer, StreamOrder } from '../load/stream-caller.ts';
import type { Row } from '../result/row.ts';
import type { Bench } from '../rounds/bench-run.ts';
import type { Watched } from '../rounds/conditions.ts';
import { rowOf } from '../rounds/measure.ts';
import { CapturePods, type PodChild } from '../stage/capture-pods.ts';
import { lacksPods } from './interception.ts';
import type { Cell, RowPlace, Scenario } from './scenario.ts';
import { reportStreams, StreamPoint } from './streams-report.ts';

const names = ['direct', 'tracecar', 'haproxy', 'envoy'] as const;
type ArmName = (typeof names)[number];

const caller = join(root, 'bench/load/stream-caller.ts');
const backend = join(root, 'bench/load/stream-backend.ts');
const callPatienceMs = 30_000;
const podPort = 7500;
const podHttp2Port = 7501;
/** Of one load; an event comes every 4 ms. */
const counts: Readonly<Record<string, number>> = {
  [StreamPoint.H1]: 250,
  [StreamPoint.WebSocket]: 250,
  [StreamPoint.FirstByte]: 150,
  [StreamPoint.Event]: 120,
  [StreamPoint.Http2]: 250,
};

export const streams: Scenario = {
  id: 'B12',
  name: 'streams',
  title: 'WebSockets, events and HTTP/2 beside plain requests',
  arms: besideArms,
  startsItsArms: true,
  cells: cellsOf,
  // The seconds do not matter: loads are counted in calls.
  pace: (scale) =>
    ({
      quick: { rounds: 1, seconds: 1 },
      // One dropped round of four leaves the three that a figure needs.
      full: { rounds: 4, seconds: 1 },
      publish: { rounds: 21, seconds: 1 },
    })[scale],
  roundSeconds: () => cellsOf().length * 0.8,
  measure,
  report: reportStreams,
};

/** Without namespaces the rows of HTTP/2 have that fault, and no number. */
function cellsOf(): readonly Cell[] {
  return Object.values(StreamPoint).flatMap((point) => names.map((arm) => ({ arm, point })));
}

async function measure(bench: Bench, cell: Cell, place: RowPlace): Promise<Row> {
  const arm = cell.arm as ArmName;
  const count = counts[cell.point]!;
  if (cell.point === StreamPoint.Http2) {
    const lacking = lacksPods();
    if (lacking !== undefined) {
      bench.progress(`${lacking.missing}; to have it: ${lacking.install}`);
      return { ...rowOf(cell, place), faults: [lacking.missing], values: {} };
    }
    const { pods, proxies } = await openPods(bench);
    const order = podOrder(pods, count);
    const call = () => pods.call(arm, caller, JSON.stringify(order));
    return timed(bench, proxies[arm], cell, place, count, call);
  }
  const { stage } = bench;
  await bench.keep('second upstream', async () => {
    const child = await stage.startBeside();
    return { close: () => stage.children.stop(child) };
  });
  const running = await bench.running(arm);
  const port = running.child === undefined ? stage.besidePort : running.port;
  const order = { kind: cell.point, host: '127.0.0.1', port, count } as StreamOrder;
  const { children, cores, directory } = stage;
  const call = () => {
    const args = [caller, JSON.stringify(order)];
    const launch = { command: process.execPath, args, core: cores?.load, directory };
    return children.start(launch).finish(callPatienceMs);
  };
  return timed(bench, running, cell, place, count, call);
}

async function timed(
  bench: Bench,
  proxy: Watched | undefined,
  cell: Cell,
  place: RowPlace,
  count: number,
  call: () => Promise<string>,
): Promise<Row> {
  const watch = bench.watch(proxy, true);
  const { times } = JSON.parse(await call()) as StreamAnswer;
  const seen = watch.end();
  const values = { requests: count, errors: 0, ...seen.values };
  return { ...rowOf(cell, place), faults: seen.faults, values, histograms: { latency: times } };
}

interface StreamPods {
  readonly pods: CapturePods;
  readonly proxies: Readonly<Record<ArmName, PodChild | undefined>>;
  close(): Promise<void>;
}

/** Pods and proxies that have done the load once, which is part of no round. */
function openPods(bench: Bench): Promise<StreamPods> {
  return bench.keep('pods', async () => {
    const pods = await CapturePods.open(bench.stage);
    await pods.serve(backend, String(podPort), String(podHttp2Port), '0.0.0.0');
    const startRival = async (name: 'haproxy' | 'envoy') => {
      if ('missing' in findRival(name)) return undefined;
      const order = JSON.stringify(podOrder(pods, 1));
      return pods.startRival(name, () => pods.call(name, caller, order));
    };
    const proxies = {
      direct: undefined,
      tracecar: await pods.startSidecar('tracecar'),
      haproxy: await startRival('haproxy'),
      envoy: await startRival('envoy'),
    };
    for (const name of names) {
      if (name !== 'direct' && proxies[name] === undefined) continue;
      await pods.call(name, caller, JSON.stringify(podOrder(pods, counts[StreamPoint.Http2]!)));
    }
    return { pods, proxies, close: () => pods.close() };
  });
}

function podOrder({ serverAddress: host }: CapturePods, count: number): StreamOrder {
  return { kind: 'http2', host, port: podHttp2Port, count };
}
