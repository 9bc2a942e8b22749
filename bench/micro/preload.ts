/**
 * What the propagation preload costs an application: CPU per request with and without it, and start.
 *
 *   node bench/micro/preload.ts [--node PATH] [--rounds N] [--requests N]
 *
 * The application is the smallest that can be joined: one request in, one out, nothing else; so the
 * ratio is the worst that a user can see. Rounds with and without alternate. CPU is the application's own
 * (user and system), after a warm-up, in batches of 1000 requests: a busy machine spoils the median of
 * them, so the lowest tenth is shown beside it, and that is the figure to compare.
 */

import { type ChildProcess, spawn, spawnSync } from 'node:child_process';
import { once } from 'node:events';
import { Agent, createServer, get } from 'node:http';
import type { AddressInfo } from 'node:net';
import { join } from 'node:path';
import { parseArgs } from 'node:util';

const preload = join(import.meta.dirname, '../../injector/preload/tracecar-propagate.cjs');
const { values } = parseArgs({
  options: {
    node: { type: 'string', default: process.execPath },
    rounds: { type: 'string', default: '5' },
    requests: { type: 'string', default: '16000' },
  },
});
const rounds = Number(values.rounds);
const requests = Number(values.requests);
const connections = 16;
/** Requests of one sample. */
const batch = 1_000;

const application = `
const http = require('node:http');
const url = 'http://127.0.0.1:' + process.env.UPSTREAM;
const agent = new http.Agent({ keepAlive: true, maxSockets: 64 });
const call = process.env.CLIENT === 'fetch'
  ? (done) => fetch(url).then((response) => response.text()).then(done)
  : (done) => http.get(url, { agent }, (response) => response.resume().on('end', done));
let start;
http.createServer((request, response) => {
  if (request.url === '/start') start = process.cpuUsage();
  if (request.url !== '/') {
    const { user, system } = process.cpuUsage(start);
    response.end(JSON.stringify({ cpuUs: user + system, rssBytes: process.memoryUsage().rss }));
    return;
  }
  call(() => response.end('ok'));
}).listen(0, '127.0.0.1', function () { process.send(this.address().port); });
process.on('disconnect', () => process.exit());
`;

/** Of one batch; CPU per request. */
interface Sample {
  readonly cpuUs: number;
  readonly rssBytes: number;
}

function quantile(numbers: readonly number[], share: number): number {
  const sorted = numbers.toSorted((a, b) => a - b);
  return sorted[Math.floor(sorted.length * share)]!;
}

function median(numbers: readonly number[]): number {
  return quantile(numbers, 0.5);
}

const agent = new Agent({ keepAlive: true, maxSockets: connections });
const traceHeaders = {
  traceparent: '00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01',
  tracestate: 'ot=th:0',
  'x-request-id': 'bench',
};

async function ask(port: number, path: string): Promise<string> {
  const request = get({ host: '127.0.0.1', port, path, agent, headers: traceHeaders });
  const [response] = await once(request, 'response');
  return (await response.setEncoding('utf8').toArray()).join('');
}

async function load(port: number, count: number): Promise<void> {
  let left = count;
  const worker = async () => {
    while (left-- > 0) await ask(port, '/');
  };
  await Promise.all(Array.from({ length: connections }, worker));
}

/** One application process from start to end. */
async function measure(client: string, isOn: boolean, upstream: number): Promise<Sample[]> {
  const flags = isOn ? ['--require', preload] : [];
  const child: ChildProcess = spawn(values.node, [...flags, '-e', application], {
    stdio: ['ignore', 'inherit', 'inherit', 'ipc'],
    env: { CLIENT: client, UPSTREAM: String(upstream) },
  });
  const [port] = (await once(child, 'message')) as [number];
  await load(port, 2 * batch);
  const samples: Sample[] = [];
  for (let left = requests; left > 0; left -= batch) {
    await ask(port, '/start');
    await load(port, batch);
    const { cpuUs, rssBytes } = JSON.parse(await ask(port, '/end')) as Sample;
    samples.push({ cpuUs: cpuUs / batch, rssBytes });
  }
  child.kill('SIGKILL');
  await once(child, 'close');
  return samples;
}

async function printCpu(upstream: number): Promise<void> {
  for (const client of ['http', 'fetch']) {
    const samples: { off: Sample[]; on: Sample[] } = { off: [], on: [] };
    for (let round = 0; round < rounds; round += 1) {
      samples.off.push(...(await measure(client, false, upstream)));
      samples.on.push(...(await measure(client, true, upstream)));
    }
    const cpu = (of: readonly Sample[]) => of.map((each) => each.cpuUs);
    const rss = (of: readonly Sample[]) => median(of.map((each) => each.rssBytes / 2 ** 20));
    const [off, on] = [cpu(samples.off), cpu(samples.on)];
    const print = (name: string, pick: (numbers: readonly number[]) => number) =>
      `${name} ${pick(off).toFixed(1)} us without, ${pick(on).toFixed(1)} us with, ` +
      `ratio ${(pick(on) / pick(off)).toFixed(2)}`;
    const lowest = (numbers: readonly number[]) => quantile(numbers, 0.1);
    console.log(
      `${client.padEnd(6)} CPU per request: ${print('median', median)}; ` +
        `${print('lowest tenth', lowest)}; ` +
        `RSS ${rss(samples.off).toFixed(0)} and ${rss(samples.on).toFixed(0)} MB`,
    );
  }
}

/** Milliseconds: of the file's own evaluation, and of what a whole process that loads http pays. */
function printStart(): void {
  const evaluate =
    'const a = process.hrtime.bigint(); require(process.argv[1]);' +
    'console.log(Number(process.hrtime.bigint() - a) / 1e6)';
  const whole = (flags: readonly string[]) => {
    const start = performance.now();
    spawnSync(values.node, [...flags, '-e', "require('node:http')"]);
    return performance.now() - start;
  };
  const own: number[] = [];
  const added: number[] = [];
  for (let round = 0; round < rounds * 3; round += 1) {
    const printed = spawnSync(values.node, ['-e', evaluate, preload], { encoding: 'utf8' }).stdout;
    own.push(Number(printed));
    const without = whole([]);
    added.push(whole(['--require', preload]) - without);
  }
  console.log(
    `start: the file takes ${median(own).toFixed(1)} ms (node:http and node:net included); ` +
      `a process that uses http starts ${median(added).toFixed(1)} ms later`,
  );
}

const upstream = createServer((request, response) => {
  request.resume();
  response.end('ok');
});
upstream.listen(0, '127.0.0.1');
await once(upstream, 'listening');
const version = spawnSync(values.node, ['--version'], { encoding: 'utf8' }).stdout.trim();
console.log(`preload on Node ${version}, ${rounds} rounds of ${requests} requests, medians`);
await printCpu((upstream.address() as AddressInfo).port);
printStart();
agent.destroy();
upstream.close();
upstream.closeAllConnections();
