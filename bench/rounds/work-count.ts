/**
 * Work counted, not timed: bytes allocated and system calls per request of a copy started for it.
 *
 * Bytes are those of V8's heap in the main thread (load/work-probe.ts inside the arm); system calls are
 * the main thread's, by strace (system-calls.ts). Both slow an arm down, so no time is taken of it; the
 * counts hardly depend on who else is busy. V8 counts bytes in steps of up to some 100 KiB, and code that
 * is not compiled yet allocates more: one long count after a long warm-up, in a new copy each round.
 */

import { connect } from 'node:net';
import { join } from 'node:path';
import { findPeer, installCommand } from '../../tools/peers.ts';
import type { Arm } from '../arms/arm.ts';
import type { LoadReport } from '../load/load-order.ts';
import type { RunningArm, Stage } from '../stage/stage.ts';
import { perfCallsPerRequest } from './perf-calls.ts';
import { callsPerRequest, traceRequests } from './system-calls.ts';

/** Per request; a value is absent where it cannot be counted. */
export interface WorkCount {
  readonly allocatedBytesPerRequest?: number;
  readonly systemCallsPerRequest?: number;
  /** By perf, waits that bring nothing too; of the default only. */
  readonly perfCallsPerRequest?: number;
}

export interface CountedWork {
  readonly counts: WorkCount;
  /** What could not be counted, why, and what helps. */
  readonly lacks: readonly string[];
}

const warmRequests = 40_000;
const warmConnections = 16;
const countedRequests = 60_000;
const countedConnections = 4;
/** On one connection: then no two requests share a wait. As many before, for the compilers' sake. */
const tracedRequests = 4000;
const patienceSeconds = 20;

/** The arm with a probe in it; programs that are not on Node.js take no notice. */
export function withProbe(arm: Arm): Arm {
  return {
    ...arm,
    prepare: (place) => {
      const command = arm.prepare(place);
      const probe = join(import.meta.dirname, '../load/work-probe.ts');
      const options = [process.env.NODE_OPTIONS, `--import=${probe}`].filter(Boolean).join(' ');
      return {
        ...command,
        environment: {
          ...command.environment,
          NODE_OPTIONS: options,
          TRACECAR_BENCH_PROBE: probePath(place.directory),
        },
      };
    },
  };
}

/** Starts a copy of `arm`, counts, and stops it. Rejects when an answer was wrong. */
export async function countWork(stage: Stage, arm: Arm): Promise<CountedWork> {
  const running = await stage.startArm(withProbe(arm));
  try {
    await send(stage, running, warmRequests, warmConnections);
    const allocatedBytesPerRequest = await countBytes(stage, running);
    const bytes = allocatedBytesPerRequest === undefined ? {} : { allocatedBytesPerRequest };
    const calls = await countCalls(stage, running);
    const perf = arm.name === 'tracecar' ? await countByPerf(stage, running) : undefined;
    if (perf !== undefined && typeof calls !== 'string') {
      const counted = { systemCallsPerRequest: calls, perfCallsPerRequest: perf };
      return { counts: { ...bytes, ...counted }, lacks: [] };
    }
    return typeof calls === 'string'
      ? { counts: bytes, lacks: [calls] }
      : { counts: { ...bytes, systemCallsPerRequest: calls }, lacks: [] };
  } finally {
    await stage.stopArm(running);
  }
}

async function countBytes(stage: Stage, running: RunningArm): Promise<number | undefined> {
  const before = await askProbe(running);
  const { completed } = await send(stage, running, countedRequests, countedConnections);
  const after = await askProbe(running);
  return before === undefined || after === undefined ? undefined : (after - before) / completed;
}

/** What is said where strace is not installed. */
export const noStrace = `strace, for system calls; to have it: ${installCommand(['strace'])}`;

/** Or why not. */
async function countCalls(stage: Stage, running: RunningArm): Promise<number | string> {
  const strace = findPeer('strace')?.path;
  const { child } = running;
  if (strace === undefined || child === undefined) return noStrace;
  const traced = { strace, pid: child.pid };
  await send(stage, running, tracedRequests, 1);
  const counted = await traceRequests(traced, tracedRequests, async (requests) => {
    await send(stage, running, requests, 1);
  });
  return typeof counted === 'string'
    ? `system calls, because ${counted}`
    : callsPerRequest(counted);
}

async function countByPerf(stage: Stage, running: RunningArm): Promise<number | undefined> {
  if (running.child === undefined) return undefined;
  return await perfCallsPerRequest(running.child.pid, tracedRequests, async (requests) => {
    await send(stage, running, requests, 1);
  });
}

async function send(
  stage: Stage,
  { name, port }: RunningArm,
  requests: number,
  connections: number,
): Promise<LoadReport> {
  const seconds = patienceSeconds;
  const report = await stage.generator.run({
    kind: 'closed',
    port,
    connections,
    seconds,
    requests,
  });
  const wrong = Object.values(report.errors).reduce((sum, count) => sum + count, 0);
  if (wrong > 0 || report.completed === 0) throw new Error(`${name}: ${wrong} wrong answers`);
  return report;
}

/** Undefined when the arm has no probe. */
function askProbe({ place }: RunningArm): Promise<number | undefined> {
  return new Promise((settle) => {
    let text = '';
    const socket = connect(probePath(place!.directory));
    socket.on('data', (chunk) => {
      text += chunk;
    });
    socket.on('error', () => settle(undefined));
    socket.on('close', () => settle(text === '' ? undefined : Number(text)));
  });
}

function probePath(directory: string): string {
  return join(directory, 'probe');
}
