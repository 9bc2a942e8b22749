/**
 * Admin, health and metrics ports, asked over real sockets.
 */

import assert from 'node:assert/strict';
import { execFile } from 'node:child_process';
import { mkdtempSync, rmSync } from 'node:fs';
import { type IncomingHttpHeaders, request } from 'node:http';
import { connect } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { type TestContext, test } from 'node:test';
import { promisify } from 'node:util';
import { injectPod } from '../../injector/patch.ts';
import { type AdminState, createAdminServer } from '../../src/admin/admin-server.ts';
import { createHealthServer } from '../../src/admin/health-server.ts';
import { createMetricsServer } from '../../src/admin/metrics-server.ts';
import { type PageServer, PageServer as Pages, pageLimits } from '../../src/admin/page-server.ts';
import { systemWakeUps } from '../../src/base/deadlines.ts';
import { systemRandom } from '../../src/base/random.ts';
import { drainSecretOf } from '../../src/main/drain-secret.ts';
import { meshed, settings } from '../injector/patch/pod-fixtures.ts';

interface Reply {
  readonly status: number;
  readonly headers: IncomingHttpHeaders;
  readonly body: string;
}

interface Asked {
  readonly method?: string;
  readonly headers?: Record<string, string>;
  readonly body?: string;
}

async function open(t: TestContext, server: PageServer): Promise<number> {
  const { port } = await server.listen('127.0.0.1', 0);
  t.after(() => server.close());
  return port;
}

function ask(port: number, path: string, asked: Asked = {}): Promise<Reply> {
  return new Promise((resolve, reject) => {
    const sent = request(
      {
        host: '127.0.0.1',
        port,
        path,
        method: asked.method ?? 'GET',
        headers: asked.headers ?? {},
      },
      (response) => {
        let body = '';
        response.setEncoding('utf8');
        response.on('data', (chunk: string) => {
          body += chunk;
        });
        response.on('error', reject);
        response.on('end', () =>
          resolve({ status: response.statusCode ?? 0, headers: response.headers, body }),
        );
      },
    );
    sent.on('error', reject);
    sent.end(asked.body);
  });
}

function sampleState(changes: Partial<AdminState> = {}): AdminState {
  let level = 'info';
  return {
    whyNotReady: () => '',
    config: () => ({
      generation: 3,
      match: /^\/v\d+$/,
      timeoutMs: Number.POSITIVE_INFINITY,
      diagnostics: [],
    }),
    clusters: () => [{ name: 'outbound|80||ratings', inFlight: 2 }],
    connections: () => ({ inbound: 1 }),
    plaintextCallers: () => ({ callers: [], forgotten: 0 }),
    stats: () => ({ requests: 7 }),
    logLevel: () => level,
    setLogLevel: (wanted) => {
      if (wanted !== 'debug' && wanted !== 'info') return false;
      level = wanted;
      return true;
    },
    logLevels: ['debug', 'info'],
    isDraining: () => false,
    leave: () => assert.fail('nobody said that the pod is ending'),
    ...changes,
  };
}

test('the configuration is JSON, with regular expressions as their source', async (t) => {
  const port = await open(t, createAdminServer(sampleState()));
  const { status, headers, body } = await ask(port, '/config');
  assert.equal(status, 200);
  assert.equal(headers['content-type'], 'application/json; charset=utf-8');
  assert.deepEqual(JSON.parse(body), {
    generation: 3,
    match: '^\\/v\\d+$',
    timeoutMs: 'none',
    diagnostics: [],
  });
});

test('a reader of text/plain gets indented text', async (t) => {
  const port = await open(t, createAdminServer(sampleState()));
  const { headers, body } = await ask(port, '/clusters', { headers: { accept: 'text/plain' } });
  assert.equal(headers['content-type'], 'text/plain; charset=utf-8');
  assert.equal(body, '- name: outbound|80||ratings\n  inFlight: 2\n');
});

test('every page of the list answers', async (t) => {
  const port = await open(t, createAdminServer(sampleState()));
  const list = await ask(port, '/');
  const paths = [...list.body.matchAll(/^ {2}(\/\S+)/gm)].map((match) => match[1]!);
  assert.deepEqual(paths, [
    '/ready',
    '/config',
    '/clusters',
    '/connections',
    '/plaintext-callers',
    '/stats',
    '/log-level',
    '/drain',
  ]);
  for (const path of paths) assert.equal((await ask(port, `${path}?x=1`)).status, 200, path);
});

test('an unknown path is 404 and lists the pages', async (t) => {
  const port = await open(t, createAdminServer(sampleState()));
  const { status, body } = await ask(port, '/confg');
  assert.equal(status, 404);
  assert.match(body, /there is no \/confg here; pages:\n {2}\/ready /);
});

test('pages take no method but GET and HEAD', async (t) => {
  const port = await open(t, createAdminServer(sampleState()));
  const post = await ask(port, '/config', { method: 'POST', body: 'x' });
  assert.equal(post.status, 405);
  assert.equal(post.headers.allow, 'GET, HEAD');
  const head = await ask(port, '/config', { method: 'HEAD' });
  assert.equal(head.status, 200);
  assert.equal(head.body, '');
});

test('the log level is set by PUT and nothing else is accepted as one', async (t) => {
  const port = await open(t, createAdminServer(sampleState()));
  const set = await ask(port, '/log-level', { method: 'PUT', body: 'debug\n' });
  assert.deepEqual(JSON.parse(set.body), { level: 'debug' });
  assert.deepEqual(JSON.parse((await ask(port, '/log-level')).body), { level: 'debug' });
  const wrong = await ask(port, '/log-level', { method: 'PUT', body: 'loud' });
  assert.equal(wrong.status, 400);
  assert.equal(wrong.body, 'a level is one of debug, info\n');
  const long = await ask(port, '/log-level', { method: 'PUT', body: 'x'.repeat(5_000) });
  assert.equal(long.status, 413);
  assert.deepEqual(JSON.parse((await ask(port, '/log-level')).body), { level: 'debug' });
});

test('PUT /drain says that the pod is ending, GET only whether it is', async (t) => {
  let calls = 0;
  const state = sampleState({
    isDraining: () => calls > 0,
    leave: () => {
      calls += 1;
    },
  });
  const port = await open(t, createAdminServer(state));
  assert.deepEqual(JSON.parse((await ask(port, '/drain')).body), { draining: false });
  const put = await ask(port, '/drain', { method: 'PUT' });
  assert.deepEqual(JSON.parse(put.body), { draining: true });
  assert.equal((await ask(port, '/drain', { method: 'POST' })).status, 405);
  assert.equal(calls, 1);
  assert.deepEqual(JSON.parse((await ask(port, '/drain')).body), { draining: true });
});

test('the hook of a pod from a repository drains by the secret that its sidecar made', async (t) => {
  const folder = mkdtempSync(join(tmpdir(), 'tracecar-hook-'));
  t.after(() => rmSync(folder, { recursive: true }));
  const pod = injectPod({ spec: {} }, meshed, { ...settings, drainSecret: '' });
  const { env, lifecycle } = pod.spec.initContainers![0] as unknown as {
    env: { name: string; value: string }[];
    lifecycle: { preStop: { exec: { command: string[] } } };
  };
  const inPod = env.find(({ name }) => name === 'TRACECAR_DRAIN_SECRET_FILE')!.value;
  const file = join(folder, 'secret');
  let calls = 0;
  const health = (drainSecret: string) =>
    open(
      t,
      createHealthServer({
        whyNotReady: () => '',
        whyNotOpen: () => '',
        leave: () => {
          calls += 1;
        },
        drainSecret,
        probes: [],
        applicationAddress: '127.0.0.1',
        wakeUps: systemWakeUps,
      }),
    );
  const [program, ...args] = lifecycle.preStop.exec.command;
  const hook = (port: number) =>
    promisify(execFile)(
      program!,
      args.map((each) => each.replace('15021', String(port)).replace(inPod, file)),
    );
  const made = drainSecretOf({ drainSecret: '', drainSecretFile: file }, systemRandom);
  await hook(await health(made));
  assert.equal(calls, 1);
  await assert.rejects(hook(await health('of another pod')), { code: 1 });
  assert.equal(calls, 1);
});

test('a Host that is not this machine is refused, as a rebound name would send it', async (t) => {
  const port = await open(t, createAdminServer(sampleState()));
  assert.equal((await ask(port, '/config', { headers: { host: 'evil.example' } })).status, 403);
  for (const host of ['localhost', `localhost:${port}`, '127.0.0.1', '[::1]:80']) {
    assert.equal((await ask(port, '/config', { headers: { host } })).status, 200, host);
  }
});

test('a page that throws is 500 and the next one still answers', async (t) => {
  const broken = sampleState({
    stats: () => {
      throw new Error('no figures');
    },
  });
  const port = await open(t, createAdminServer(broken));
  const { status, body } = await ask(port, '/stats');
  assert.equal(status, 500);
  assert.equal(body, 'this page failed: no figures\n');
  assert.equal((await ask(port, '/ready')).status, 200);
});

test('ready is 503 with its reason until traffic is taken; live does not depend on it', async (t) => {
  let reason = 'starting';
  let closed = 'starting';
  const port = await open(
    t,
    createHealthServer({
      whyNotReady: () => reason,
      whyNotOpen: () => closed,
      leave: () => assert.fail('nobody asked for a drain'),
      drainSecret: '',
      probes: [],
      applicationAddress: '127.0.0.1',
      wakeUps: systemWakeUps,
    }),
  );
  const before = await ask(port, '/healthz/ready', { headers: { host: '10.1.2.3:15021' } });
  assert.equal(before.status, 503);
  assert.deepEqual(JSON.parse(before.body), { ready: false, reason: 'starting' });
  assert.equal((await ask(port, '/healthz/open')).status, 503);
  assert.equal((await ask(port, '/healthz/live')).status, 200);
  [reason, closed] = ['warming up', ''];
  assert.equal((await ask(port, '/healthz/ready')).status, 503);
  assert.equal((await ask(port, '/healthz/open')).status, 200);
  reason = '';
  assert.equal((await ask(port, '/healthz/ready')).status, 200);
});

test('metrics are rendered anew for each scrape, in the text format', async (t) => {
  let count = 0;
  const port = await open(
    t,
    createMetricsServer(() => `tracecar_test ${++count}\n`),
  );
  assert.equal((await ask(port, '/metrics')).body, 'tracecar_test 1\n');
  const second = await ask(port, '/metrics');
  assert.equal(second.body, 'tracecar_test 2\n');
  assert.equal(second.headers['content-type'], 'text/plain; version=0.0.4; charset=utf-8');
});

test('the metrics page is OpenMetrics for who likes that as well, and plain text for others', async (t) => {
  const port = await open(
    t,
    createMetricsServer((format) => Promise.resolve(format)),
  );
  const formats: Readonly<Record<string, string>> = {
    '': 'prometheus',
    '*/*': 'prometheus',
    'text/plain;version=0.0.4': 'prometheus',
    'application/openmetrics-text;q=0.1,text/plain;q=0.5': 'prometheus',
    'application/openmetrics-text;q=0,*/*': 'prometheus',
    'application/openmetrics-text': 'openmetrics',
    // Prometheus 2 and 3.
    'application/openmetrics-text;version=1.0.0,application/openmetrics-text;version=0.0.1;q=0.75,text/plain;version=0.0.4;q=0.5,*/*;q=0.1':
      'openmetrics',
    'application/openmetrics-text;version=1.0.0;escaping=allow-utf-8;q=0.5,text/plain;version=0.0.4;q=0.3,*/*;q=0.2':
      'openmetrics',
  };
  for (const [accept, format] of Object.entries(formats)) {
    const { body, headers } = await ask(port, '/metrics', { headers: { accept } });
    assert.equal(body, format, accept);
    const isOpen = String(headers['content-type']).startsWith('application/openmetrics-text;');
    assert.equal(isOpen, format === 'openmetrics');
  }
});

test('a page in parts comes whole, and others have their turn between two parts', async (t) => {
  let isAsked = false;
  let port = 0;
  let other: Promise<Reply> | undefined;
  function* parts() {
    // While this page is sent another one is asked for and answered; it ends after that.
    for (let part = 0; part < 20 || (!isAsked && part < 100_000); part++) {
      if (part === 1) other = ask(port, '/other');
      yield `${part} ${'x'.repeat(100)}\n`;
    }
    yield isAsked ? 'end\n' : 'the other page had to wait\n';
  }
  const getOther = () => {
    isAsked = true;
    return { status: 200, contentType: 'text/plain', body: 'other' };
  };
  const getLong = () => ({ status: 200, contentType: 'text/plain', body: parts() });
  port = await open(
    t,
    new Pages({
      pages: [
        { path: '/long', summary: '', get: getLong },
        { path: '/other', summary: '', get: getOther },
      ],
      isLocalOnly: false,
      limits: pageLimits,
    }),
  );
  const { body } = await ask(port, '/long');
  const words = body.split('\n').map((line) => line.split(' ')[0]);
  const numbers = Array.from({ length: words.length - 2 }, (_, part) => String(part));
  assert.deepEqual(words, [...numbers, 'end', '']);
  assert.equal((await other)!.body, 'other');
  assert.equal((await ask(port, '/long', { method: 'HEAD' })).body, '');
});

test('a page that fails on the way is cut, so that nobody takes it for whole', async (t) => {
  function* parts() {
    yield 'the first part\n';
    throw new Error('no second part');
  }
  const get = () => ({ status: 200, contentType: 'text/plain', body: parts() });
  const port = await open(
    t,
    new Pages({
      pages: [{ path: '/', summary: '', get }],
      isLocalOnly: false,
      limits: pageLimits,
    }),
  );
  await assert.rejects(ask(port, '/'));
});

test('a reader that never finishes its head is cut', async (t) => {
  const server = new Pages({
    pages: [],
    isLocalOnly: false,
    limits: { ...pageLimits, requestTimeoutMs: 50 },
  });
  const port = await open(t, server);
  const socket = connect(port, '127.0.0.1');
  socket.write('GET /config HTTP/1.1\r\nHost: 127');
  let answer = '';
  socket.setEncoding('latin1').on('data', (chunk: string) => {
    answer += chunk;
  });
  await new Promise((resolve) => socket.on('close', resolve));
  assert.match(answer, /^HTTP\/1\.1 408 /);
});

test('a port in use rejects with the word of the system', async (t) => {
  const port = await open(t, createAdminServer(sampleState()));
  const second = createAdminServer(sampleState());
  await assert.rejects(second.listen('127.0.0.1', port), { code: 'EADDRINUSE' });
});
