import assert from 'node:assert/strict';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { createSecureServer } from 'node:http2';
import { createServer } from 'node:https';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, test } from 'node:test';
import { ManualClock } from '../../src/base/clock.ts';
import { issueServingCertificate } from '../../src/identity/serving-certificate.ts';
import { KubeClient } from '../../src/kube/kube-client.ts';
import { KubeError } from '../../src/kube/kube-error.ts';
import { readInClusterSettings } from '../../src/kube/service-account.ts';
import { json, ScriptedServer, status } from './scripted-server.ts';

const folder = mkdtempSync(join(tmpdir(), 'tracecar-kube-'));
after(() => rmSync(folder, { recursive: true }));

function clientOf(server: string, clock = new ManualClock(), tokenFile?: string) {
  return new KubeClient({ server, tokenFile, caFile: undefined, userAgent: 'test/1' }, clock);
}

function failure(call: Promise<unknown>): Promise<KubeError> {
  return call.then(
    () => assert.fail('it did not fail'),
    (error: unknown) => {
      assert.ok(error instanceof KubeError);
      return error;
    },
  );
}

test('a pod finds its API server, also over IPv6, and nobody else does', () => {
  const found = readInClusterSettings(
    { KUBERNETES_SERVICE_HOST: 'fd00::1', KUBERNETES_SERVICE_PORT: '6443' },
    'agent',
    '/account',
  );
  assert.equal(found?.server, 'https://[fd00::1]:6443');
  assert.equal(found?.tokenFile, '/account/token');
  assert.equal(found?.caFile, '/account/ca.crt');
  assert.equal(readInClusterSettings({}, 'agent'), undefined);
  assert.throws(() => KubeClient.inCluster({}, 'agent'), /not a pod.*tracecar install/);
});

test('each call has its method, content type, query and agent', async () => {
  const object = { metadata: { name: 'a' } };
  const server = await ScriptedServer.start(...Array(6).fill(json(object)));
  const client = clientOf(server.url);
  await client.get('/a', { query: { limit: 5 } });
  await client.create('/a', object);
  await client.replace('/a/b', object);
  await client.patch('/a/b', 'merge', object);
  await client.patch('/a/b', 'apply', object, { query: { fieldManager: 'us', force: true } });
  await client.delete('/a/b');
  await client.close();
  await server.finish();
  const shown = server.seen.map(({ method, path, query, headers }) =>
    [method, path, query.toString(), headers['content-type'] ?? '-'].join(' '),
  );
  assert.deepEqual(shown, [
    'GET /a limit=5 -',
    'POST /a  application/json',
    'PUT /a/b  application/json',
    'PATCH /a/b  application/merge-patch+json',
    'PATCH /a/b fieldManager=us&force=true application/apply-patch+yaml',
    'DELETE /a/b  -',
  ]);
  assert.equal(server.seen[0]?.headers['user-agent'], 'test/1');
  assert.equal(server.seen[0]?.headers.authorization, undefined);
});

test('a token that the kubelet replaced is read again, once a minute and when it is refused', async () => {
  const tokenFile = join(folder, 'token');
  writeFileSync(tokenFile, 'one\n');
  const server = await ScriptedServer.start(
    json({}),
    json({}),
    json({}),
    status(401, 'Unauthorized', 'Unauthorized'),
    json({}),
    status(401, 'Unauthorized', 'Unauthorized'),
    status(401, 'Unauthorized', 'Unauthorized'),
  );
  const clock = new ManualClock();
  const client = clientOf(server.url, clock, tokenFile);
  await client.get('/1');
  writeFileSync(tokenFile, 'two');
  clock.advance(59_000);
  await client.get('/2');
  clock.advance(1_001);
  await client.get('/3');
  writeFileSync(tokenFile, 'three');
  await client.get('/4');
  const error = await failure(client.get('/5'));
  assert.equal(error.status, 401);
  assert.match(error.message, /GET \/5: Unauthorized; the token is not accepted/);
  await client.close();
  await server.finish();
  assert.deepEqual(
    server.seen.map(({ path, headers }) => `${path} ${headers.authorization}`),
    [
      '/1 Bearer one',
      '/2 Bearer one',
      '/3 Bearer two',
      '/4 Bearer two',
      '/4 Bearer three',
      '/5 Bearer three',
      '/5 Bearer three',
    ],
  );
});

test('a refusal says what was refused, why and what to do', async () => {
  const forbidden = 'secrets is forbidden: User "x" cannot create resource';
  const server = await ScriptedServer.start(
    status(403, 'Forbidden', forbidden),
    status(409, 'AlreadyExists', 'secrets "x" already exists'),
    status(429, 'TooManyRequests', 'busy', { 'retry-after': '7' }),
    json('no status at all', 502),
    (_seen, response) => response.writeHead(200).end('<html>'),
  );
  const client = clientOf(server.url);
  const first = await failure(client.create('/api/v1/namespaces/a/secrets', {}));
  assert.equal(first.reason, 'Forbidden');
  assert.match(
    first.message,
    /^POST \/api\/v1\/namespaces\/a\/secrets: secrets is forbidden.*; grant it/,
  );
  assert.equal((await failure(client.create('/a', {}))).reason, 'AlreadyExists');
  assert.equal((await failure(client.get('/a'))).retryAfterMs, 7_000);
  const gateway = await failure(client.get('/a'));
  assert.equal(gateway.status, 502);
  assert.match(gateway.message, /GET \/a: status 502/);
  assert.match((await failure(client.get('/a'))).message, /answers no JSON: "<html>"/);
  await client.close();
  await server.finish();
});

test('a server that is not there is named with the likely cause', async () => {
  const server = await ScriptedServer.start();
  const { url } = server;
  await server.finish();
  const client = clientOf(url);
  const error = await failure(client.get('/version'));
  assert.equal(error.status, 0);
  assert.equal(error.reason, 'ECONNREFUSED');
  assert.match(error.message, /GET \/version: no answer from http:.*is that the address/);
  await client.close();
});

test('a server of another cluster is not trusted, and a replaced CA file is used', async () => {
  const request = { dnsNames: ['127.0.0.1'], now: Date.now() };
  const [own, foreign] = [issueServingCertificate(request), issueServingCertificate(request)];
  const server = createServer({ cert: own.certPem, key: own.keyPem }, (_request, response) => {
    response.end('{"metadata":{"name":"found"}}');
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  const { port } = server.address() as { port: number };
  const caFile = join(folder, 'ca.crt');
  writeFileSync(caFile, foreign.caPem);
  const clock = new ManualClock();
  const client = new KubeClient(
    { server: `https://127.0.0.1:${port}`, tokenFile: undefined, caFile, userAgent: 'test/1' },
    clock,
  );
  const error = await failure(client.get('/a'));
  assert.match(error.message, /no answer from https:.*certificate/);
  writeFileSync(caFile, own.caPem);
  clock.advance(60_001);
  assert.equal((await client.get('/a')).metadata.name, 'found');
  await client.close();
  server.closeAllConnections();
  server.close();
});

test('a server that prefers HTTP/2 is asked over HTTP/1.1: a dead connection is one call', async () => {
  const own = issueServingCertificate({ dnsNames: ['127.0.0.1'], now: Date.now() });
  const pair = { cert: own.certPem, key: own.keyPem };
  const server = createSecureServer({ ...pair, allowHTTP1: true }, (request, response) => {
    response.end(JSON.stringify({ metadata: { name: request.httpVersion } }));
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  const { port } = server.address() as { port: number };
  const caFile = join(folder, 'other-ca.crt');
  writeFileSync(caFile, own.caPem);
  const settings = { tokenFile: undefined, caFile, userAgent: 'test/1' };
  const client = new KubeClient({ server: `https://127.0.0.1:${port}`, ...settings });
  const { metadata } = await client.get('/a');
  await client.close();
  server.close();
  assert.equal(metadata.name, '1.1');
});
