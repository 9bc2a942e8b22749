/**
 * Work counted, not timed: bytes allocated and system calls per request of a copy started for it.
 *
 * Bytes are those of V8's heap in the main thread (load/work-probe.ts inside the arm); system calls are
 * the main thread's, by `strace -c`. Both slow an arm down, so no time is taken of it; the counts hardly
 * depend on who else is busy, which is why one round of them is enough.
 */

import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { readFileSync } from 'node:fs';
import { connect } from 'node:net';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { findPeer } from '../../tools/peers.ts';
import type { Arm } from '../arms/arm.ts';
import type { LoadReport } from '../load/load-order.ts';
import type { RunningArm, Stage } from '../stage/stage.ts';

/** Per request; a value is absent where it cannot be counted. */
export interface WorkCount {
  readonly allocatedBytesPerRequest?: number;
  readonly systemCallsPerRequest?: number;
}

const warmRequests = 12_000;
const warmConnections = 16;
/** A batch opens its own connections, whose bytes must be few beside those of its requests. */
const batchRequests = 10_000;
const batchConnections = 4;
const batches = 3;
/** On one connection: then no two requests share a wait. */
const tracedRequests = 2000;
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
export async function countWork(stage: Stage, arm: Arm): Promise<WorkCount> {
  const running = await stage.startArm(withProbe(arm));
  try {
    await send(stage, running, warmRequests, warmConnections);
    const allocatedBytesPerRequest = await countBytes(stage, running);
    const systemCallsPerRequest = await countCalls(stage, running);
    return {
      ...(allocatedBytesPerRequest === undefined ? {} : { allocatedBytesPerRequest }),
      ...(systemCallsPerRequest === undefined ? {} : { systemCallsPerRequest }),
    };
  } finally {
    await stage.stopArm(running);
  }
}

/** `% time  seconds  usecs/call  calls  [errors]  syscall`: the calls of all names but the total. */
export function parseCallCount(summary: string): number {
  let calls = 0;
  for (const line of summary.split('\n')) {
    const fields = line.trim().split(/\s+/);
    const isName = /^[a-z]/.test(fields.at(-1) ?? '') && fields.at(-1) !== 'total';
    if (fields.length >= 5 && isName) calls += Number(fields[3]) || 0;
  }
  return calls;
}

/** Of the batch that needed least: code that is not compiled yet allocates more. */
async function countBytes(stage: Stage, running: RunningArm): Promise<number | undefined> {
  let least: number | undefined;
  for (let batch = 0; batch < batches; batch++) {
    const before = await askProbe(running);
    const { completed } = await send(stage, running, batchRequests, batchConnections);
    const after = await askProbe(running);
    if (before === undefined || after === undefined) return undefined;
    least = Math.min(least ?? Number.POSITIVE_INFINITY, (after - before) / completed);
  }
  return least;
}

async function countCalls(stage: Stage, running: RunningArm): Promise<number | undefined> {
  const strace = findPeer('strace');
  if (strace === undefined || running.child === undefined || running.place === undefined) {
    return undefined;
  }
  const file = join(running.place.directory, 'calls.txt');
  const tracer = spawn(strace.path, ['-c', '-o', file, '-p', String(running.child.pid)], {
    stdio: ['ignore', 'ignore', 'pipe'],
  });
  const ended = once(tracer, 'close');
  const attached = new Promise<boolean>((settle) => {
    ended.then(() => settle(false));
    createInterface({ input: tracer.stderr }).on('line', (line) => {
      if (line.includes('attached')) settle(true);
    });
  });
  if (!(await attached)) return undefined;
  const { completed } = await send(stage, running, tracedRequests, 1);
  tracer.kill('SIGINT');
  await ended;
  return parseCallCount(readFileSync(file, 'utf8')) / completed;
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
