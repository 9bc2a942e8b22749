/**
 * All system calls of a thread by perf: nothing is slowed down, and waits that bring nothing count.
 *
 * Beside the figure by strace (system-calls.ts), which names the calls but makes the thread so slow that
 * libuv hardly ever looks in vain. Where perf is not installed, or may not look, there is no figure.
 */

import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { setTimeout as sleep } from 'node:timers/promises';

const patienceMs = 20_000;
const event = 'raw_syscalls:sys_enter';

/** A request's calls of the main thread of `pid`; see traceRequests. undefined without perf. */
export async function perfCallsPerRequest(
  pid: number,
  requests: number,
  send: (requests: number) => Promise<void>,
): Promise<number | undefined> {
  let tookMs = 0;
  const busy = await countCalls(pid, async () => {
    const startedAt = performance.now();
    await send(requests);
    tookMs = performance.now() - startedAt;
  });
  if (busy === undefined) return undefined;
  const idle = await countCalls(pid, () => Promise.all([send(1), sleep(tookMs)]));
  return idle === undefined ? undefined : (busy - idle) / (requests - 1);
}

/** Of `perf stat -x,`: 'COUNT,,EVENT,...'; undefined where nothing was counted. Exported for tests. */
export function parsePerf(text: string): number | undefined {
  const found = /^(\d+),[^,]*,raw_syscalls:sys_enter,/m.exec(text);
  return found === null ? undefined : Number(found[1]);
}

/** perf counts while its own child runs: a `cat` whose echo says that it does, and whose end ends it. */
async function countCalls(pid: number, work: () => Promise<unknown>): Promise<number | undefined> {
  const args = ['stat', '-x', ',', '-e', event, '-t', String(pid), '--', 'cat'];
  const perf = spawn('perf', args, { timeout: patienceMs, stdio: 'pipe' });
  let said = '';
  perf.stderr.on('data', (chunk) => {
    said += chunk;
  });
  // Its end before it was asked is an answer too: it is not there, or may not.
  perf.stdin.on('error', () => {});
  const ended = new Promise<undefined>((settle) => {
    perf.on('error', () => settle(undefined));
    perf.on('close', () => settle(undefined));
  });
  perf.stdin.write('counting\n');
  const isCounting = await Promise.race([once(perf.stdout, 'data').then(() => true), ended]);
  try {
    if (isCounting === true) await work();
  } finally {
    perf.stdin.end();
    await ended;
  }
  return isCounting === true ? parsePerf(said) : undefined;
}
