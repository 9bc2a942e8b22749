/**
 * `tracecar view` as a process: what it prints, how it ends, and `--trace` against a running one.
 */

import assert from 'node:assert/strict';
import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { createServer, type RequestListener } from 'node:http';
import { type AddressInfo, connect } from 'node:net';
import { resolve } from 'node:path';
import { type TestContext, test } from 'node:test';
import { readViewSettings } from '../../src/main/view-settings.ts';
import { wantsAscii, wantsColor } from '../../src/main/view-trace.ts';
import { demoTrace, exportBody, sendSpans } from './span-fixtures.ts';
import { startViewer } from './viewer-fixture.ts';

const program = resolve(import.meta.dirname, '../../src/cli/tracecar.ts');
const traceId = '4bf92f3577b34da6a3ce929d0e0e4736';
/** A program that does not end is a failure, not a hang. */
const limit = { timeout: 30_000 };
const environment = { PATH: process.env.PATH, LANG: 'C.UTF-8' };

function start(args: readonly string[], env: NodeJS.ProcessEnv = environment): ChildProcess {
  return spawn(process.execPath, [program, 'view', ...args], {
    stdio: ['ignore', 'pipe', 'pipe'],
    env,
  });
}

interface Ended {
  readonly status: number | null;
  readonly signal: string | null;
  readonly stdout: string;
  readonly stderr: string;
}

async function ended(child: ChildProcess): Promise<Ended> {
  let stdout = '';
  let stderr = '';
  child.stdout!.on('data', (chunk) => {
    stdout += chunk;
  });
  child.stderr!.on('data', (chunk) => {
    stderr += chunk;
  });
  const [status, signal] = await once(child, 'close');
  return { status, signal, stdout, stderr };
}

function run(args: readonly string[], env?: NodeJS.ProcessEnv): Promise<Ended> {
  return ended(start(args, env));
}

/** A running viewer as a process; its addresses are those that it prints. */
async function running(t: TestContext) {
  const child = start(['--otlp', '127.0.0.1:0', '--query', '127.0.0.1:0', '--store-bytes', '8m']);
  t.after(() => child.kill('SIGKILL'));
  const end = ended(child);
  let text = '';
  while (text.split('\n').length < 3) text += (await once(child.stdout!, 'data'))[0];
  const otlp = /spans come in at (http:\/\/[\d.:]+)\/v1\/traces/.exec(text)?.[1];
  const query = /traces are shown at (http:\/\/[\d.:]+)\//.exec(text)?.[1];
  assert.ok(otlp !== undefined && query !== undefined, text);
  return { child, end, otlp, query };
}

test('it takes spans, shows them and ends on SIGINT, connections open', limit, async (t) => {
  const { child, end, otlp, query } = await running(t);
  const { pathname, port } = new URL(`${otlp}/v1/traces`);
  const response = await sendSpans(otlp, exportBody(demoTrace(traceId, 1_795_627_913_000)), true);
  assert.equal(response.status, 200);
  const health = (await (await fetch(`${query}/healthz`)).json()) as { store: { spans: number } };
  assert.equal(health.store.spans, 5);
  const idle = connect(Number(port), '127.0.0.1');
  const halfway = connect(Number(port), '127.0.0.1');
  for (const socket of [idle, halfway]) socket.on('error', () => {});
  await Promise.all([once(idle, 'connect'), once(halfway, 'connect')]);
  halfway.write(
    `POST ${pathname} HTTP/1.1\r\nhost: x\r\ncontent-type: application/json\r\n` +
      'content-length: 100\r\nexpect: 100-continue\r\n\r\n',
  );
  await once(halfway, 'data');
  child.kill('SIGINT');
  assert.deepEqual(pick(await end), { status: 0, signal: null, stderr: '' });
});

test('SIGTERM ends it with status 0', limit, async (t) => {
  const { child, end } = await running(t);
  child.kill('SIGTERM');
  assert.deepEqual(pick(await end), { status: 0, signal: null, stderr: '' });
});

function pick({ status, signal, stderr }: Ended) {
  return { status, signal, stderr };
}

/** One line on stderr, nothing on stdout, and this status. */
function assertLine(result: Ended, status: number, line: RegExp): void {
  assert.equal(result.status, status, result.stderr);
  assert.equal(result.stdout, '');
  assert.match(result.stderr, line);
  assert.equal(result.stderr.split('\n').length, 2, result.stderr);
}

test('a mistake in the flags is one line and status 2', async () => {
  const cases: readonly (readonly [readonly string[], RegExp])[] = [
    [['--otlp', 'nonsense'], /--otlp is ADDR:PORT such as 127\.0\.0\.1:4318, not 'nonsense'/],
    [['--query', '127.0.0.1:70000'], /--query is ADDR:PORT/],
    [['--store-bytes', '12'], /--store-bytes is a size from 1m to 4g, not '12'/],
    [['--json'], /--json goes with --trace ID/],
    [['--trace', 'xyz'], /--trace is a trace id of 32 hex digits, not 'xyz'/],
    [['--trace', traceId, '--width', '5'], /--width is 60 to 500 columns, not '5'/],
    [['--trace', traceId, '--query', 'http://['], /--query is not a URL/],
  ];
  for (const [args, message] of cases) {
    assert.throws(() => readViewSettings(args, {}), { name: 'UsageError', message });
  }
  const unknown = await run(['--otpl', '127.0.0.1:1']);
  assertLine(unknown, 2, /unknown flag --otpl; did you mean --otlp\?/);
});

test('OTLP over gRPC has its usual port unless OTLP over HTTP is somewhere else', () => {
  const grpcOf = (...args: readonly string[]): unknown => {
    const settings = readViewSettings(args, {});
    return settings.kind === 'serve' ? settings.grpc : '';
  };
  assert.deepEqual(grpcOf(), { address: '127.0.0.1', port: 4317 });
  assert.equal(grpcOf('--otlp', ':1'), undefined);
  assert.deepEqual(grpcOf('--otlp', ':1', '--grpc', '2'), { address: '127.0.0.1', port: 2 });
  assert.equal(grpcOf('--grpc', 'none'), undefined);
});

test('addresses may come from the environment, and --query may be a URL', () => {
  const settings = readViewSettings(['--otlp', '[::1]:1'], { TRACECAR_QUERY: '0.0.0.0:2' });
  assert.deepEqual(settings, {
    kind: 'serve',
    otlp: { address: '::1', port: 1 },
    grpc: undefined,
    query: { address: '0.0.0.0', port: 2 },
    storeBytes: 256 * 1024 * 1024,
    storeFile: undefined,
    importFile: undefined,
  });
  const urlOf = (query: string): string => {
    const read = readViewSettings(['--trace', 'a', '--query', query], {});
    return read.kind === 'show' ? read.queryUrl : '';
  };
  assert.equal(urlOf('https://jaeger.example/base/'), 'https://jaeger.example/base');
  assert.equal(urlOf('0.0.0.0:16686'), 'http://127.0.0.1:16686');
  assert.equal(urlOf('[::1]:5'), 'http://[::1]:5');
});

test('a port in use is one line, names the flag, and nothing stays open', async (t) => {
  const { otlp } = await running(t);
  const taken = otlp.replace('http://', '');
  const otlpTaken = await run(['--otlp', taken, '--query', '127.0.0.1:0']);
  assertLine(otlpTaken, 2, /cannot listen on .* for OTLP: the port is in use.*--otlp ADDR:PORT/);
  const queryTaken = await run(['--otlp', '127.0.0.1:0', '--query', taken]);
  assertLine(queryTaken, 2, /cannot listen on .* for queries: the port is in use.*--query ADDR/);
});

test('--trace prints the waterfall of a trace, without color when it is piped', async (t) => {
  const viewer = await startViewer();
  t.after(() => viewer.close());
  await sendSpans(viewer.otlp, exportBody(demoTrace(traceId, 1_795_627_913_000)));
  const at = ['--query', viewer.query.replace('http://', ''), '--width', '100'];
  const [picture, ascii, colored, json] = await Promise.all([
    run(['--trace', traceId.toUpperCase(), ...at]),
    run(['--trace', traceId, ...at], { ...environment, TERM: 'dumb' }),
    run(['--trace', traceId, ...at], { ...environment, FORCE_COLOR: '1' }),
    run(['--trace', traceId, ...at, '--json']),
  ]);
  assert.equal(picture!.status, 0, picture!.stderr);
  assert.match(picture!.stdout, /^trace 4bf92f3577b34da6a3ce929d0e0e4736 {2}2\.31 ms {2}5 spans/);
  assert.match(picture!.stdout, /└─ web GET -> reviews v1 60 % +200 +│ ▐█+▍ +│ +2\.01 ms/);
  assert.match(ascii!.stdout, /`- web GET -> reviews v1 60 % +200 +\| =+ +\| +2\.01 ms/);
  assert.match(colored!.stdout, /\u001b\[36m/);
  const exported = JSON.parse(json!.stdout);
  // What --json prints is an export request again.
  assert.equal((await sendSpans(viewer.otlp, exported)).status, 200);
  assert.equal(exported.resourceSpans.length, 3);
});

test('a trace that is not there is one line and status 1', async (t) => {
  const viewer = await startViewer();
  t.after(() => viewer.close());
  const result = await run(['--trace', 'abc', '--query', viewer.query]);
  assertLine(result, 1, /has no trace 0{29}abc: not sampled, not exported yet/);
});

test('no viewer there is one line that names the command, and status 2', async () => {
  const server = createServer().listen(0, '127.0.0.1');
  await once(server, 'listening');
  const { port } = server.address() as AddressInfo;
  await new Promise((closed) => server.close(closed));
  const result = await run(['--trace', traceId, '--query', `127.0.0.1:${port}`]);
  assertLine(result, 2, /nothing listens at http:\/\/127\.0\.0\.1:\d+: .*`tracecar view`/);
});

test('something else than a viewer is told apart', async (t) => {
  const answers: readonly (readonly [RequestListener, RegExp])[] = [
    [(_, response) => response.end('<html>'), /answers with something else than a trace/],
    [(_, response) => response.writeHead(404).end('no'), /answers with status 404: is it a viewer/],
    [(_, response) => response.writeHead(302, { location: '/' }).end(), /with status 302/],
    [(request) => request.socket.destroy(), /could not be asked/],
  ];
  for (const [listener, line] of answers) {
    const server = createServer(listener).listen(0, '127.0.0.1');
    t.after(() => server.close());
    await once(server, 'listening');
    const { port } = server.address() as AddressInfo;
    assertLine(await run(['--trace', traceId, '--query', `:${port}`]), 2, line);
  }
});

test('colors and characters follow the environment', () => {
  assert.equal(wantsColor({}, true), true);
  assert.equal(wantsColor({}, false), false);
  assert.equal(wantsColor({ NO_COLOR: '1', FORCE_COLOR: '1' }, true), false);
  assert.equal(wantsColor({ FORCE_COLOR: '1' }, false), true);
  assert.equal(wantsColor({ TERM: 'dumb' }, true), false);
  assert.equal(wantsAscii({}), false);
  assert.equal(wantsAscii({ LANG: 'en_US.UTF-8' }), false);
  assert.equal(wantsAscii({ LANG: 'en_US.UTF-8', LC_ALL: 'C' }), true);
  assert.equal(wantsAscii({ LANG: 'de_DE.utf8', TERM: 'dumb' }), true);
});
