/**
 * B13, interception: what one captured connection costs, beside HAProxy in TCP mode behind the same rules.
 *
 *   first byte     from the dial to the first byte of an echo; the byte is neither HTTP's nor TLS's
 *   greeting       the server speaks first; cold: where nothing was ever dialled
 *   stream         1 GiB to the caller over one connection
 *   idle           8000 connections through a new sidecar, each after one echoed byte
 *   lookup         the original destination and what is known of it (micro/original-destination.ts)
 *
 * In network namespaces (stage/capture-pods.ts). What is timed happens in programs of their own
 * (interception-load.ts), one for each cell, which begin with calls that are not counted.
 */

import { readdirSync, readlinkSync } from 'node:fs';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { whyNoPods } from '../../test/support/namespace-pods.ts';
import type { Arm, MissingArm } from '../arms/arm.ts';
import { findRival, root } from '../arms/find.ts';
import { describeTracecar } from '../arms/tracecar.ts';
import type { LoadAnswer, LoadOrder } from '../interception-load.ts';
import { type LookupFigures, lookupConnections } from '../micro/original-destination.ts';
import type { Row } from '../result/row.ts';
import type { Bench } from '../rounds/bench-run.ts';
import { rowOf } from '../rounds/measure.ts';
import { CapturePods, type PodChild } from '../stage/capture-pods.ts';
import { readMemory } from '../stage/procfs.ts';
import { InterceptionPoint, reportInterception } from './interception-report.ts';
import type { Cell, RowPlace, Scale, Scenario } from './scenario.ts';

const load = join(root, 'bench/interception-load.ts');
const micro = join(root, 'bench/micro/original-destination.ts');
const armNames = ['direct', 'tracecar', 'haproxy'] as const;
type ArmName = (typeof armNames)[number];

const calls = 400;
/** Of one round: each is dialled once by each arm. */
const coldPorts = 20;
const roundsMax = 50;
const streamMib = 1024;
const idleConnections = 8000;
const settleMs = 2000;
const { FirstByte, Greeting, Cold, Stream, Idle, Lookup } = InterceptionPoint;
/** Packets of a stream are also moved in interrupts on the proxy's core, and those are nobody's time. */
const foreignStreamMax = 0.1;

export const interception: Scenario = {
  id: 'B13',
  name: 'interception',
  title: 'One captured connection',
  arms: [
    capturedArm(
      'tracecar',
      'Tracecar',
      'captured in a namespace, no configuration, no exporter',
      () => ({
        version: describeTracecar(),
        program: 'dist/tracecar',
      }),
    ),
    capturedArm(
      'haproxy',
      'HAProxy, TCP mode',
      'captured in a namespace, dials the original destination; one thread, no log',
      () => findRival('haproxy'),
    ),
  ],
  lacks: lacksPods,
  startsItsArms: true,
  cells: cellsOf,
  // The seconds do not matter: loads are counted in calls and bytes.
  pace: (scale) =>
    ({
      quick: { rounds: 3, seconds: 1 },
      full: { rounds: 5, seconds: 1 },
      publish: { rounds: 21, seconds: 1 },
    })[scale],
  roundSeconds: () => 17,
  measure,
  report: reportInterception,
};

/** An arm that lives in a pod and is started there. */
export function capturedArm(name: string, label: string, setting: string, find: Arm['find']): Arm {
  const prepare = () => {
    throw new Error(`${name} is started in its pod`);
  };
  return { name, label, setting, find, prepare };
}

/** What this machine lacks for pods. */
export function lacksPods(): MissingArm | undefined {
  const why = whyNoPods();
  if (why === undefined) return undefined;
  const [missing, install = 'root'] = why.split(/ \((.*)\)$/);
  return { missing: missing!, install };
}

function cellsOf(scale: Scale): readonly Cell[] {
  const rounds = scale === 'publish' ? 5 : 3;
  return [
    ...[FirstByte, Greeting, Cold, Stream].flatMap((point) =>
      armNames.map((arm) => ({ arm, point })),
    ),
    { arm: 'tracecar', point: Idle, rounds },
    { arm: 'tracecar', point: Lookup, rounds },
  ];
}

function measure(bench: Bench, cell: Cell, place: RowPlace): Promise<Row> {
  if (cell.point === Idle) return measureIdle(bench, cell, place);
  if (cell.point === Lookup) return measureLookup(bench, cell, place);
  return measureCalls(bench, cell, place);
}

interface Ends {
  readonly pods: CapturePods;
  readonly proxies: Readonly<Record<ArmName, PodChild | undefined>>;
  close(): Promise<void>;
}

/** Pods, far ends and proxies that have done each load once, which is part of no round. */
function openEnds(bench: Bench): Promise<Ends> {
  return bench.keep('interception', async () => {
    bench.progress('making pods, and a bundle of these sources');
    const pods = await CapturePods.open(bench.stage);
    await pods.serve(load, 'serve', String(roundsMax * coldPorts), String(roundsMax));
    const order = orderOf(pods, FirstByte, 0);
    const proxies = {
      direct: undefined,
      tracecar: await pods.startSidecar('tracecar'),
      haproxy: await startHaproxy(pods, { ...order, count: 1 }),
    };
    for (const arm of armNames) {
      if (arm !== 'direct' && proxies[arm] === undefined) continue;
      for (const point of [FirstByte, Greeting, Stream]) {
        await call(pods, arm, orderOf(pods, point, 0));
      }
    }
    return { pods, proxies, close: () => pods.close() };
  });
}

/** Without HAProxy its cells are not measured, and nobody asks. */
async function startHaproxy(pods: CapturePods, order: LoadOrder): Promise<PodChild | undefined> {
  if ('missing' in findRival('haproxy')) return undefined;
  return pods.startRival('haproxy', () => call(pods, 'haproxy', order));
}

function orderOf({ serverAddress: address }: CapturePods, point: string, round: number): LoadOrder {
  const counts: Readonly<Record<string, number>> = { [Cold]: coldPorts, [Stream]: streamMib };
  const count = counts[point] ?? calls;
  return { load: point as LoadOrder['load'], address, count, coldPlace: round * coldPorts };
}

async function call(pods: CapturePods, arm: ArmName, order: LoadOrder): Promise<LoadAnswer> {
  return JSON.parse(await pods.call(arm, load, 'call', JSON.stringify(order))) as LoadAnswer;
}

async function measureCalls(bench: Bench, cell: Cell, place: RowPlace): Promise<Row> {
  if (place.round >= roundsMax) throw new Error(`there are ports for ${roundsMax} rounds only`);
  const { pods, proxies } = await openEnds(bench);
  const arm = cell.arm as ArmName;
  const order = orderOf(pods, cell.point, place.round);
  const watch = bench.watch(proxies[arm], true);
  const { times, bytes, streamUs } = await call(pods, arm, order);
  const seen = watch.end();
  if (cell.point !== Stream) {
    const values = { requests: order.count, errors: 0, ...seen.values };
    return { ...rowOf(cell, place), faults: seen.faults, values, histograms: { latency: times } };
  }
  const isCalm = (seen.values.foreign ?? 0) <= foreignStreamMax;
  const faults = seen.faults.filter(
    (fault) => !(isCalm && fault.startsWith("others on the proxy's")),
  );
  const values = { errors: 0, ...seen.values, bytes, streamUs };
  return { ...rowOf(cell, place), faults, values };
}

/** socketBytes is of one socket of the sidecar, of which a connection has two. */
async function measureIdle(bench: Bench, cell: Cell, place: RowPlace): Promise<Row> {
  const { pods } = await openEnds(bench);
  const sidecar = await pods.startSidecar('fresh');
  try {
    for (const point of [FirstByte, Greeting]) {
      const order = JSON.stringify(orderOf(pods, point, 0));
      await pods.call('fresh', load, 'call', order);
    }
    await sleep(settleMs);
    const { pid } = sidecar.child;
    const before = readMemory(pid);
    const order = ['hold', pods.serverAddress, String(idleConnections), String(place.round)];
    const holder = await pods.hold('fresh', load, ...order);
    await sleep(settleMs);
    const held = readMemory(pid);
    // Two connections each, or the rules led past the sidecar.
    const sockets = countSockets(pid);
    if (sockets < 2 * idleConnections) throw new Error(`the sidecar holds ${sockets} sockets only`);
    await pods.end(holder);
    const socketBytes = ((held.privateKb - before.privateKb) * 1024) / (2 * idleConnections);
    // Memory does not depend on who else had a core.
    const values = { errors: 0, ...held, connections: idleConnections, socketBytes };
    return { ...rowOf(cell, place), faults: [], values };
  } finally {
    await pods.end(sidecar);
  }
}

/** The micro benchmark in the sidecar's place, on connections that the rules lead to it. */
async function measureLookup(bench: Bench, cell: Cell, place: RowPlace): Promise<Row> {
  const { pods } = await openEnds(bench);
  const listener = pods.inPlaceOfProxy('fresh', micro, 'listen');
  try {
    await listener.process.says(/^open$/);
    const watch = bench.watch(listener);
    const order = ['hold', pods.serverAddress, String(lookupConnections), '0'];
    const holder = await pods.hold('fresh', load, ...order);
    const figures = JSON.parse(await listener.process.says(/^\{/)) as LookupFigures;
    const seen = watch.end();
    await pods.end(holder);
    const { askNs, findNs, bothNs } = figures;
    // CPU time of one thread: only who took the proxy's core from it spoils that.
    const faults = seen.faults.filter((fault) => fault.includes("the proxy's core"));
    const values = {
      errors: 0,
      askUs: askNs / 1000,
      findUs: findNs / 1000,
      lookupUs: bothNs / 1000,
    };
    return { ...rowOf(cell, place), faults, values };
  } finally {
    await pods.end(listener);
  }
}

/** Open sockets of a process. */
function countSockets(pid: number): number {
  const folder = `/proc/${pid}/fd`;
  return readdirSync(folder).filter((name) => {
    try {
      return readlinkSync(join(folder, name)).startsWith('socket:');
    } catch {
      return false;
    }
  }).length;
}
