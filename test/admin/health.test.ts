/**
 * Probes and drain on the health port, against real applications over real sockets.
 */

import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { createServer, METHODS, type RequestListener, request, type Server } from 'node:http';
import { createServer as createHttp2Server, type ServerHttp2Stream } from 'node:http2';
import { createServer as createHttpsServer } from 'node:https';
import { type AddressInfo, createServer as createTcpServer } from 'node:net';
import { join } from 'node:path';
import { type TestContext, test } from 'node:test';
import { createHealthServer } from '../../src/admin/health-server.ts';
import { readProbes } from '../../src/admin/probe-definition.ts';
import { systemWakeUps } from '../../src/base/deadlines.ts';

interface Closable {
  listen(port: number, address: string, done: () => void): unknown;
  address(): string | AddressInfo | null;
  close(): unknown;
  closeAllConnections?(): void;
}

function listening(t: TestContext, server: Closable): Promise<number> {
  t.after(() => {
    server.closeAllConnections?.();
    server.close();
  });
  return new Promise((settle) => {
    server.listen(0, '127.0.0.1', () => settle((server.address() as AddressInfo).port));
  });
}

const application = (t: TestContext, answer: RequestListener) =>
  listening(t, createServer(answer) as Server);

interface HealthPort {
  readonly port: number;
  /** How often a drain was begun. */
  readonly leaves: () => number;
}

async function healthPort(t: TestContext, probes: object, secret = ''): Promise<HealthPort> {
  const read = readProbes(JSON.stringify(probes));
  assert.ok('probes' in read, JSON.stringify(read));
  let leaves = 0;
  const server = createHealthServer({
    whyNotReady: () => (leaves === 0 ? '' : 'draining'),
    whyNotOpen: () => (leaves === 0 ? '' : 'draining'),
    leave: () => {
      leaves += 1;
    },
    drainSecret: secret,
    probes: read.probes,
    applicationAddress: '127.0.0.1',
    wakeUps: systemWakeUps,
  });
  t.after(() => server.close());
  const { port } = await server.listen('127.0.0.1', 0);
  return { port, leaves: () => leaves };
}

interface Reply {
  readonly status: number;
  readonly body: string;
}

function ask(
  port: number,
  path: string,
  headers: Record<string, string> = {},
  method = 'GET',
): Promise<Reply> {
  return new Promise((resolve, reject) => {
    const options = { host: '127.0.0.1', port, path, headers, method, agent: false };
    const sent = request(options, (response) => {
      let body = '';
      response.setEncoding('utf8');
      response.on('data', (chunk: string) => {
        body += chunk;
      });
      response.on('end', () => resolve({ status: response.statusCode ?? 0, body }));
    });
    sent.on('error', reject);
    sent.end();
  });
}

const readyz = '/app-health/app/readyz';
const probeOf = (fields: object) => ({ [readyz]: fields });

test('an HTTP probe asks the application what its definition says', async (t) => {
  let seen = '';
  const port = await application(t, (incoming, response) => {
    const { host, accept, 'user-agent': agent } = incoming.headers;
    seen = [incoming.method, incoming.url, host, accept, agent, incoming.headers['x-a']].join(' ');
    response.end('fine');
  });
  const health = await healthPort(
    t,
    probeOf({ httpGet: { path: '/ok?x=1', port, httpHeaders: [{ name: 'X-A', value: 'b' }] } }),
  );
  const reply = await ask(health.port, readyz, { 'user-agent': 'kube-probe/1.36' });
  assert.deepEqual(reply, { status: 200, body: 'fine\n' });
  assert.equal(seen, `GET /ok?x=1 127.0.0.1:${port} */* kube-probe/1.36 b`);
});

test('a hook of the application is run for who knows the secret, and for nobody else', async (t) => {
  const asked: string[] = [];
  const port = await application(t, (incoming, response) => {
    asked.push(incoming.url ?? '');
    response.end('leaving');
  });
  const prestop = '/app-health/app/prestop';
  const hook = { [prestop]: { httpGet: { path: '/leave', port }, timeoutSeconds: 600 } };
  const health = await healthPort(t, hook, 'secret');
  for (const headers of [{}, { 'x-tracecar-drain-secret': 'guess' }]) {
    assert.equal((await ask(health.port, prestop, headers)).status, 403);
  }
  assert.deepEqual(asked, []);
  const reply = await ask(health.port, prestop, { 'x-tracecar-drain-secret': 'secret' });
  assert.deepEqual(reply, { status: 200, body: 'leaving\n' });
  assert.deepEqual(asked, ['/leave']);
});

test('headers of the definition take the place of the usual ones', async (t) => {
  let seen = '';
  const port = await application(t, ({ headers }, response) => {
    seen = `${headers.host} ${headers['user-agent']} ${headers.accept} ${headers['x-twice']}`;
    response.end();
  });
  const httpHeaders = [
    { name: 'Host', value: 'app.example' },
    { name: 'user-agent', value: 'mine' },
    { name: 'Accept', value: '' },
    { name: 'x-twice', value: '1' },
    { name: 'X-Twice', value: '2' },
  ];
  const health = await healthPort(t, probeOf({ httpGet: { port, httpHeaders } }));
  assert.equal((await ask(health.port, readyz)).status, 200);
  assert.equal(seen, 'app.example mine undefined 1, 2');
});

test('an application that begins to listen while it is asked is healthy at once', async (t) => {
  const server = createServer((_incoming, response) => response.end());
  const port = await listening(t, server);
  await new Promise((closed) => server.close(closed));
  const health = await healthPort(t, probeOf({ httpGet: { port }, timeoutSeconds: 4 }));
  const asked = ask(health.port, readyz);
  // It was refused at least once when another question about another page has been answered.
  assert.equal((await ask(health.port, '/healthz/live')).status, 200);
  server.listen(port, '127.0.0.1');
  assert.equal((await asked).status, 200);
});

test('an application that goes on refusing is unhealthy within the time of its probe', async (t) => {
  const server = createServer();
  const port = await listening(t, server);
  await new Promise((closed) => server.close(closed));
  const probe = probeOf({ httpGet: { port }, timeoutSeconds: 0.2 });
  const { status, body } = await ask((await healthPort(t, probe)).port, readyz);
  assert.equal(status, 503);
  assert.match(body, /ECONNREFUSED/);
});

test('the status of an unhealthy application comes through, a good one is 200', async (t) => {
  let status = 503;
  const port = await application(t, (_incoming, response) => {
    response.statusCode = status;
    response.end();
  });
  const health = await healthPort(t, probeOf({ httpGet: { path: 'ok', port } }));
  for (const [given, expected] of [
    [503, 503],
    [404, 404],
    [204, 200],
    [399, 200],
    [200, 200],
  ] as const) {
    status = given;
    assert.equal((await ask(health.port, readyz)).status, expected, String(given));
  }
});

test('a redirect is followed to the application and never elsewhere', async (t) => {
  const port = await application(t, ({ url }, response) => {
    const to: Record<string, string> = {
      '/start': '/next',
      '/away': 'http://other.example/',
      '/loop': '/loop',
    };
    if (url === '/next') response.statusCode = 418;
    else response.writeHead(302, { Location: to[url!]! });
    response.end();
  });
  const probe = (path: string) => ({ httpGet: { path, port } });
  const health = await healthPort(t, {
    '/app-health/app/readyz': probe('/start'),
    '/app-health/app/livez': probe('/away'),
    '/app-health/app/startupz': probe('/loop'),
  });
  assert.equal((await ask(health.port, '/app-health/app/readyz')).status, 418);
  assert.equal((await ask(health.port, '/app-health/app/livez')).status, 200);
  assert.equal((await ask(health.port, '/app-health/app/startupz')).status, 503);
});

test('an HTTPS probe takes any certificate', async (t) => {
  const folder = join(import.meta.dirname, '../preload/apps');
  const server = createHttpsServer(
    {
      key: readFileSync(join(folder, 'localhost-key.pem')),
      cert: readFileSync(join(folder, 'localhost-cert.pem')),
    },
    (_incoming, response) => response.end('secret'),
  );
  const port = await listening(t, server);
  const health = await healthPort(t, probeOf({ httpGet: { port, scheme: 'HTTPS' } }));
  assert.deepEqual(await ask(health.port, readyz), { status: 200, body: 'secret\n' });
});

test('an application that says nothing fails the probe when its time is over', async (t) => {
  const port = await application(t, () => {});
  const health = await healthPort(t, probeOf({ httpGet: { port }, timeoutSeconds: 0.05 }));
  const reply = await ask(health.port, readyz);
  assert.deepEqual(reply, { status: 503, body: 'no answer within 0.05 s\n' });
});

test('a TCP probe is whether the application accepts', async (t) => {
  const server = createTcpServer((socket) => socket.on('error', () => {}));
  const port = await listening(t, server);
  const health = await healthPort(t, probeOf({ tcpSocket: { port } }));
  assert.equal((await ask(health.port, readyz)).status, 200);
  await new Promise((settle) => server.close(settle));
  const reply = await ask(health.port, readyz);
  assert.equal(reply.status, 503);
  assert.match(reply.body, /ECONNREFUSED/);
});

test('a gRPC probe is whether the service serves', async (t) => {
  const answers: Record<string, { code: string; body: number[] }> = {
    '': { code: '0', body: [0, 0, 0, 0, 2, 8, 1] },
    orders: { code: '0', body: [0, 0, 0, 0, 2, 8, 2] },
    none: { code: '5', body: [] },
  };
  const server = createHttp2Server();
  server.on('stream', (stream: ServerHttp2Stream, headers) => {
    let asked = Buffer.alloc(0);
    stream.on('data', (chunk: Buffer) => {
      asked = Buffer.concat([asked, chunk]);
    });
    stream.on('end', () => {
      assert.equal(headers[':path'], '/grpc.health.v1.Health/Check');
      assert.equal(asked.readUInt32BE(1), asked.length - 5);
      const { code, body } = answers[asked.subarray(7).toString()]!;
      stream.respond({ 'content-type': 'application/grpc' }, { waitForTrailers: true });
      stream.on('wantTrailers', () => stream.sendTrailers({ 'grpc-status': code }));
      stream.end(Buffer.from(body));
    });
  });
  const port = await listening(t, server as unknown as Closable);
  const health = await healthPort(t, {
    '/app-health/app/readyz': { grpc: { port } },
    '/app-health/app/livez': { grpc: { port, service: 'orders' } },
    '/app-health/app/startupz': { grpc: { port, service: 'none' } },
  });
  const all = await Promise.all(
    ['readyz', 'livez', 'startupz'].map((kind) => ask(health.port, `/app-health/app/${kind}`)),
  );
  assert.deepEqual(all, [
    { status: 200, body: 'SERVING\n' },
    { status: 503, body: 'NOT_SERVING\n' },
    { status: 503, body: 'gRPC status 5\n' },
  ]);
});

test('a gRPC probe of something else fails in its time', async (t) => {
  const silent = await listening(
    t,
    createTcpServer((socket) => socket.on('error', () => {})),
  );
  const http1 = await application(t, (_incoming, response) => response.end());
  const health = await healthPort(t, {
    '/app-health/app/readyz': { grpc: { port: silent }, timeoutSeconds: 0.1 },
    '/app-health/app/livez': { grpc: { port: http1 } },
  });
  assert.match((await ask(health.port, '/app-health/app/readyz')).body, /no answer within 0.1 s/);
  assert.equal((await ask(health.port, '/app-health/app/livez')).status, 503);
});

/** All that an HTTP client may send but CONNECT, which names no path. */
const methods = METHODS.filter((method) => method !== 'CONNECT');

test('a drain asks for the secret, by every method, and for nothing else', async (t) => {
  const health = await healthPort(t, {}, 'a secret');
  for (const headers of [
    {},
    { 'x-tracecar-drain-secret': '' },
    { 'x-tracecar-drain-secret': 'a secreT' },
    { 'x-tracecar-drain-secret': 'a secret and more' },
  ] as Record<string, string>[]) {
    for (const method of methods) {
      const reply = await ask(health.port, '/drain', headers, method);
      assert.deepEqual([reply.status, method], [403, method]);
    }
  }
  assert.equal(health.leaves(), 0);
  assert.equal((await ask(health.port, '/healthz/ready')).status, 200);
  const right = { 'x-tracecar-drain-secret': 'a secret' };
  assert.equal((await ask(health.port, '/drain', right)).status, 200);
  assert.equal((await ask(health.port, '/healthz/ready')).status, 503);
  assert.equal((await ask(health.port, '/drain', right, 'POST')).status, 200);
  for (const method of ['PUT', 'DELETE', 'PATCH', 'OPTIONS']) {
    assert.equal((await ask(health.port, '/drain', right, method)).status, 405, method);
  }
});

test('without a secret nobody may drain', async (t) => {
  const health = await healthPort(t, {});
  const reply = await ask(health.port, '/drain', { 'x-tracecar-drain-secret': '' });
  assert.equal(reply.status, 403);
  assert.equal(health.leaves(), 0);
});

test('probes that make no sense are one line that names the mistake', () => {
  const mistakes: readonly (readonly [string, RegExp])[] = [
    ['{', /is not JSON/],
    ['[]', /is no JSON object/],
    ['{"/drain":{"tcpSocket":{"port":1}}}', /"\/drain" is not the path of a probe/],
    ['{"/app-health/../x/readyz":{}}', /is not the path/],
    ['{"/app-health/a/readyz":7}', /readyz: it is no JSON object/],
    ['{"/app-health/a/readyz":{}}', /one of httpGet, tcpSocket and grpc/],
    ['{"/app-health/a/readyz":{"tcpSocket":{"port":"http"}}}', /port is a number/],
    ['{"/app-health/a/readyz":{"tcpSocket":{"port":80},"timeoutSeconds":0}}', /timeoutSeconds/],
    ['{"/app-health/a/readyz":{"httpGet":{"port":80,"httpHeaders":[{}]}}}', /httpHeaders/],
  ];
  for (const [text, expected] of mistakes) {
    const result = readProbes(text);
    assert.ok('problem' in result, text);
    assert.match(result.problem, expected);
  }
  assert.deepEqual(readProbes(''), { probes: [] });
});
