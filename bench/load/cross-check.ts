/**
 * Other people's load generators against the same arms: whether ours can be believed.
 *
 * wrk and h2load, closed loop, 16 connections, one thread, on the load's core. They do not verify
 * bodies; h2load's count of body bytes is checked here. Their figures stand beside ours in the result
 * and enter no other number.
 */

import { findPeer } from '../../tools/peers.ts';
import type { CrossCheck } from '../result/row.ts';
import type { Children } from '../stage/children.ts';
import { readCpuMicros } from '../stage/procfs.ts';
import type { RunningArm, Stage } from '../stage/stage.ts';
import { benchBody, benchHost, benchPath } from './load-order.ts';

const patienceMs = 10_000;

/** Beside direct: enough to see whether our generator sees what others see, in a quarter of a minute. */
const checkedArms: readonly string[] = ['tracecar', 'envoy', 'haproxy', 'nginx', 'floor'];

interface Tool {
  readonly name: 'wrk' | 'h2load';
  /** One second, sixteen connections, against the proxy on `port`. */
  args(port: number): readonly string[];
  /** Requests answered right and seconds taken; throws on answers that were not. */
  read(output: string): { requests: number; seconds: number };
}

const tools: readonly Tool[] = [
  {
    name: 'wrk',
    args: (port) => [
      ...['-t1', '-c16', '-d1', '-H', `Host: ${benchHost}`],
      `http://127.0.0.1:${port}${benchPath}`,
    ],
    read: readWrk,
  },
  {
    name: 'h2load',
    // A Host given with -H would be a second one, and then every answer is 400.
    args: (port) => [
      ...['--h1', '-t1', '-c16', '-D1', `--connect-to=127.0.0.1:${port}`],
      `http://${benchHost}${benchPath}`,
    ],
    read: readH2load,
  },
];

/** Names of the tools that are not installed. */
export function missingTools(): readonly string[] {
  return tools.map(({ name }) => name).filter((name) => findPeer(name) === undefined);
}

/**
 * One second of each installed tool against direct and those of `checkedArms` that run. What fails with
 * one arm is said in its place and does not end the run, which has measured for hours by then.
 */
export async function crossCheck(
  children: Children,
  directory: string,
  stage: Stage,
  running: readonly RunningArm[],
  signal: AbortSignal,
): Promise<readonly CrossCheck[]> {
  const checks: CrossCheck[] = [];
  const checked = running.filter(({ name }) => checkedArms.includes(name));
  for (const tool of tools) {
    const found = findPeer(tool.name);
    if (found === undefined) continue;
    for (const arm of [stage.direct('direct'), ...checked]) {
      const about = { arm: arm.name, tool: tool.name, version: found.version };
      try {
        checks.push({ ...about, ...(await checkArm(children, directory, tool, found.path, arm)) });
      } catch (error) {
        signal.throwIfAborted();
        const failed = (error as Error).message;
        checks.push({ ...about, requestsPerSecond: 0, cpuUsPerRequest: 0, failed });
      }
    }
  }
  return checks;
}

async function checkArm(
  children: Children,
  directory: string,
  tool: Tool,
  command: string,
  arm: RunningArm,
): Promise<Pick<CrossCheck, 'requestsPerSecond' | 'cpuUsPerRequest'>> {
  const pid = arm.child?.pid;
  const before = pid === undefined ? 0 : readCpuMicros(pid);
  // No core of its own: it inherits the bench's, the load's core.
  const child = children.start({ command, args: tool.args(arm.port), core: undefined, directory });
  const { requests, seconds } = tool.read(await child.finish(patienceMs));
  if (requests === 0) throw new Error(`${tool.name}: no request was answered`);
  const cpuUs = pid === undefined ? 0 : readCpuMicros(pid) - before;
  return { requestsPerSecond: requests / seconds, cpuUsPerRequest: cpuUs / requests };
}

/** wrk prints `60123 requests in 1.10s` and names other statuses and socket errors if there were any. */
export function readWrk(output: string): { requests: number; seconds: number } {
  const found = /(\d+) requests in ([\d.]+)(ms|s)/.exec(output);
  const complaint = /(Non-2xx.*|Socket errors.*)/.exec(output)?.[1];
  if (found === null || complaint !== undefined) {
    throw new Error(`wrk: ${complaint ?? output.slice(0, 200)}`);
  }
  return {
    requests: Number(found[1]),
    seconds: Number(found[2]) * (found[3] === 'ms' ? 0.001 : 1),
  };
}

/** h2load prints counts of requests, statuses and body bytes; all must agree. */
export function readH2load(output: string): { requests: number; seconds: number } {
  const done = /finished in ([\d.]+)(ms|s),/.exec(output);
  const succeeded = /, (\d+) succeeded, (\d+) failed/.exec(output);
  const statuses = /status codes: (\d+) 2xx/.exec(output);
  const bytes = /\((\d+)\) data/.exec(output);
  if (done === null || succeeded === null || statuses === null || bytes === null) {
    throw new Error(`h2load: ${output.slice(-400)}`);
  }
  const requests = Number(succeeded[1]);
  // Answers under way when the time is over have delivered bytes and are not counted as requests.
  const bodies = Number(bytes[1]) / benchBody.length;
  if (
    Number(succeeded[2]) > 0 ||
    Number(statuses[1]) < requests ||
    Math.abs(bodies - requests) > 16
  ) {
    throw new Error(`h2load: wrong answers: ${statuses[0]}, ${bytes[1]} bytes of bodies`);
  }
  return { requests, seconds: Number(done[1]) * (done[2] === 'ms' ? 0.001 : 1) };
}
