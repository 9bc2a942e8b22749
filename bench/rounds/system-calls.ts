/**
 * The system calls that a request makes: those of a busy time, less those of a time as long without.
 *
 * strace writes down the calls of one thread, the main one. Timers, the configuration's poll and the
 * opening of a connection go on whether requests come or not; the second time has one request and then
 * nothing, so what differs is the calls of all requests but one. Left out are waits that bring nothing:
 * libuv looks once before it sleeps, to know idle time from work, and how often it looks in vain is a
 * matter of the peers' speed (under strace, which is slow, hardly ever).
 */

import { spawn } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { setTimeout as sleep } from 'node:timers/promises';

/** How often each was called, by name. */
export type SystemCalls = ReadonlyMap<string, number>;

/** Who is traced, and the path of strace. */
export interface Traced {
  readonly strace: string;
  readonly pid: number;
}

export interface RequestCalls {
  readonly requests: number;
  readonly busy: SystemCalls;
  /** As long as `busy`, with one request. */
  readonly idle: SystemCalls;
}

/**
 * `send` sends so many requests, one after the other on one connection. The answer is a reason where
 * nothing could be counted.
 */
export async function traceRequests(
  traced: Traced,
  requests: number,
  send: (requests: number) => Promise<void>,
): Promise<RequestCalls | string> {
  let tookMs = 0;
  const busy = await traceCalls(traced, async () => {
    const startedAt = performance.now();
    await send(requests);
    tookMs = performance.now() - startedAt;
  });
  if (typeof busy === 'string') return busy;
  const idle = await traceCalls(traced, () => Promise.all([send(1), sleep(tookMs)]));
  return typeof idle === 'string' ? idle : { requests, busy, idle };
}

export function callsPerRequest({ requests, busy, idle }: RequestCalls): number {
  return (sumCalls(busy) - sumCalls(idle)) / (requests - 1);
}

/** `name(arguments) = result`, one a line. Exported for tests. */
export function parseTrace(trace: string): SystemCalls {
  const calls = new Map<string, number>();
  for (const line of trace.split('\n')) {
    const [, name, result] = /^(\w+)\(.*\) += (\S+)/.exec(line) ?? [];
    if (name === undefined || (name.startsWith('epoll_') && result === '0')) continue;
    calls.set(name, (calls.get(name) ?? 0) + 1);
  }
  return calls;
}

/** The trace is in a folder of its own: a sidecar would be told of every line in one that it watches. */
async function traceCalls(
  traced: Traced,
  work: () => Promise<unknown>,
): Promise<SystemCalls | string> {
  const folder = mkdtempSync(join(tmpdir(), 'tracecar-calls-'));
  try {
    const file = join(folder, 'trace');
    const problem = await writeTrace(traced, file, work);
    return problem ?? parseTrace(readFileSync(file, 'latin1'));
  } finally {
    rmSync(folder, { recursive: true });
  }
}

/** While `work` goes on; or why not. */
async function writeTrace(
  { strace, pid }: Traced,
  file: string,
  work: () => Promise<unknown>,
): Promise<string | undefined> {
  const tracer = spawn(strace, ['-o', file, '-p', String(pid)], {
    stdio: ['ignore', 'ignore', 'pipe'],
  });
  const ended = new Promise<string>((settle) => {
    tracer.on('error', () => settle('strace is not installed: apt-get install -y strace'));
    tracer.on('close', () =>
      settle('strace may not attach here: run as root, or set kernel.yama.ptrace_scope to 0'),
    );
  });
  const attached = new Promise<undefined>((settle) => {
    createInterface({ input: tracer.stderr }).on('line', (line) => {
      if (line.includes('attached')) settle(undefined);
    });
  });
  const problem = await Promise.race([ended, attached]);
  if (problem !== undefined) return problem;
  try {
    await work();
  } finally {
    tracer.kill('SIGINT');
    await ended;
  }
  return undefined;
}

function sumCalls(calls: SystemCalls): number {
  return [...calls.values()].reduce((sum, count) => sum + count, 0);
}
