import assert from 'node:assert/strict';
import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { createServer, get } from 'node:http';
import { Agent } from 'node:https';
import { type AddressInfo, createServer as createTcpServer } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { after, test } from 'node:test';
import { freePorts } from '../../../bench/stage/free-ports.ts';
import { issueServingCertificate } from '../../../src/identity/serving-certificate.ts';
import { makeRoot } from '../../support/mesh-material.ts';
import { patchOf, podOf, responseOf, reviewOf, send } from './https-client.ts';
import { bundlesOf, configurationOf, ScriptedApi } from './scripted-api.ts';

const folder = mkdtempSync(join(tmpdir(), 'tracecar-injector-'));
after(() => rmSync(folder, { recursive: true }));
const configurationPath =
  '/apis/admissionregistration.k8s.io/v1/mutatingwebhookconfigurations/tracecar-injector';
const uid = 'b1a6f3c0-1111-4222-8333-444455556666';
const servername = 'tracecar-injector.tracecar-system.svc';

const quickArgs = [
  ...['--image', 'a', '--leave-seconds', '0', '--service-account', folder],
  ...['--listen', '127.0.0.1:0', '--health', '127.0.0.1:0'],
];

class Injector {
  readonly child: ChildProcess;
  readonly lines: Record<string, unknown>[] = [];
  readonly #waiting: { text: string; found: (line: Record<string, unknown>) => void }[] = [];

  constructor(args: readonly string[], env: Record<string, string>) {
    const script = join(import.meta.dirname, 'run-injector.ts');
    const { PATH } = process.env;
    // A test that fails leaves no process behind.
    after(() => this.child.kill('SIGKILL'));
    this.child = spawn(process.execPath, [script, ...args], {
      env: { PATH, ...env },
      stdio: ['ignore', 'inherit', 'pipe'],
    });
    createInterface({ input: this.child.stderr! }).on('line', (text) => {
      const line = text.startsWith('{') ? JSON.parse(text) : { message: text };
      this.lines.push(line);
      for (const each of this.#waiting) {
        if (line.message.includes(each.text)) each.found(line);
      }
    });
  }

  /** The first line whose message holds `text`, past or future. */
  line(text: string): Promise<Record<string, unknown>> {
    const past = this.lines.find(({ message }) => String(message).includes(text));
    if (past !== undefined) return Promise.resolve(past);
    return new Promise((found, lost) => {
      this.#waiting.push({ text, found });
      this.child.on('exit', () =>
        lost(new Error(`ended without "${text}": ${JSON.stringify(this.lines)}`)),
      );
    });
  }
}

interface Span {
  readonly name: string;
  readonly kind: number;
  readonly traceId: string;
  readonly spanId: string;
  readonly parentSpanId?: string;
  readonly attributes: readonly {
    readonly key: string;
    readonly value: { readonly stringValue?: string; readonly intValue?: number };
  }[];
}

/** OTLP over HTTP, JSON: the spans that arrive, by name. */
async function startCollector() {
  const spans: Span[] = [];
  const resources: unknown[] = [];
  const server = createServer(async (request, response) => {
    let body = '';
    for await (const chunk of request) body += chunk;
    for (const { resource, scopeSpans } of JSON.parse(body).resourceSpans) {
      resources.push(resource);
      for (const scope of scopeSpans) spans.push(...scope.spans);
    }
    response.writeHead(200, { 'content-type': 'application/json' }).end('{}');
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  const { port } = server.address() as AddressInfo;
  return { spans, resources, url: `http://127.0.0.1:${port}`, close: () => server.close() };
}

function page(port: number, path: string): Promise<{ status: number; text: string }> {
  return new Promise((resolve, reject) => {
    get({ host: '127.0.0.1', port, path, agent: false }, (response) => {
      let text = '';
      response.on('data', (chunk) => {
        text += chunk;
      });
      response.on('end', () => resolve({ status: response.statusCode ?? 0, text }));
    }).on('error', reject);
  });
}

async function startApi() {
  const own = issueServingCertificate({ dnsNames: ['127.0.0.1'], now: Date.now() });
  const api = new ScriptedApi({ cert: own.certPem, key: own.keyPem });
  await api.start();
  writeFileSync(join(folder, 'ca.crt'), own.caPem);
  writeFileSync(join(folder, 'token'), 'a-token');
  api.write('/api/v1/namespaces/shop', {
    metadata: {
      name: 'shop',
      annotations: { 'tracecar.dev/inject': 'enabled', 'tracecar.dev/propagation': 'node' },
    },
  });
  const env = { KUBERNETES_SERVICE_HOST: '127.0.0.1', KUBERNETES_SERVICE_PORT: String(api.port) };
  return { api, env };
}

test('the program becomes ready, injects, joins the trace of its caller and drains', async () => {
  const { api, env } = await startApi();
  const collector = await startCollector();
  const [health = 0] = await freePorts(1);
  const injector = new Injector(
    [
      '--image',
      'localhost/tracecar:test',
      '--listen',
      '127.0.0.1:0',
      '--health',
      `127.0.0.1:${health}`,
      '--service-account',
      folder,
      '--leave-seconds',
      '0.2',
    ],
    { ...env, OTEL_EXPORTER_OTLP_ENDPOINT: collector.url },
  );
  await injector.line('tracecar install');
  const unready = await page(health, '/healthz/ready');
  assert.equal(unready.status, 503);
  assert.match(unready.text, /authority is not published\nbecause: there is no MutatingWebhook/);
  assert.equal((await page(health, '/healthz/live')).status, 200);

  api.write(configurationPath, configurationOf());
  const { port } = await injector.line('ready: the API server can ask');
  assert.deepEqual(await page(health, '/healthz/ready'), { status: 200, text: 'ready\n' });
  const ca = bundlesOf(api.objects.get(configurationPath))[0]!;
  const agent = new Agent({ keepAlive: true });
  const target = { port: Number(port), ca, servername, agent };
  const headers = { traceparent: '00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01' };
  const response = responseOf(await send(target, { headers, body: reviewOf() }), uid);
  const patch = JSON.stringify(patchOf(response));
  assert.match(patch, /NODE_OPTIONS/, "the namespace's annotation counts");
  const own = responseOf(
    await send(target, { path: '/inject/namespaces', body: reviewOf({ resource: 'namespaces' }) }),
    uid,
  );
  assert.equal(own.allowed, true);
  assert.equal(
    api.objects.get('/api/v1/namespaces/shop')?.metadata.labels?.['tracecar.dev/inject'],
    'enabled',
  );
  assert.equal((await injector.line('injected')).namespace, 'shop');

  const exited = once(injector.child, 'exit');
  injector.child.kill('SIGTERM');
  await injector.line('SIGTERM');
  const late = await send(target, { body: reviewOf() });
  assert.equal(late.status, 200);
  assert.equal(late.headers.connection, 'close');
  assert.match((await page(health, '/healthz/ready')).text, /this replica is leaving/);
  assert.deepEqual(await exited, [0, null]);
  agent.destroy();
  checkSpans(collector);
  collector.close();
  await api.close();
});

test('pods that are to have an identity wait for the roots, and get them', async () => {
  const { api, env } = await startApi();
  api.write(configurationPath, configurationOf());
  const [health = 0] = await freePorts(1);
  const args = [...quickArgs, '--health', `127.0.0.1:${health}`, '--identity', 'ca.example:15010'];
  const twice = args.indexOf('--health');
  args.splice(twice, 2);
  const injector = new Injector(args, env);
  await injector.line('ConfigMap tracecar-trust-bundle: it is not there yet');
  assert.match((await page(health, '/healthz/ready')).text, /no trust bundle is known: it is not/);

  const { roots } = makeRoot();
  const path = '/api/v1/namespaces/tracecar-system/configmaps/tracecar-trust-bundle';
  const metadata = { name: 'tracecar-trust-bundle' };
  api.write(path, { metadata, data: { 'roots.pem': roots } });
  const { port } = await injector.line('ready: the API server can ask');
  const ca = bundlesOf(api.objects.get(configurationPath))[0]!;
  const agent = new Agent({ keepAlive: true });
  const target = { port: Number(port), ca, servername, agent };
  const patch = JSON.stringify(patchOf(responseOf(await send(target, { body: reviewOf() }), uid)));
  assert.match(patch, /"--identity","ca\.example:15010"/);
  assert.match(patch, /security\.istio\.io/);
  assert.ok(patch.includes(JSON.stringify(roots.trim()).slice(1, -1)), 'the roots');
  agent.destroy();
  const exited = once(injector.child, 'exit');
  injector.child.kill('SIGTERM');
  await exited;
  await api.close();
});

function checkSpans({ spans, resources }: Awaited<ReturnType<typeof startCollector>>): void {
  const server = spans.find(({ parentSpanId }) => parentSpanId === '00f067aa0ba902b7');
  assert.ok(server, JSON.stringify(spans));
  assert.equal(server.name, 'POST /inject/pods');
  assert.equal(server.traceId, '4bf92f3577b34da6a3ce929d0e0e4736');
  assert.equal(server.kind, 2);
  const attributes = Object.fromEntries(
    server.attributes.map(({ key, value }) => [key, value.stringValue ?? value.intValue]),
  );
  assert.equal(attributes['http.response.status_code'], 200);
  assert.equal(attributes['k8s.namespace.name'], 'shop');
  assert.equal(attributes['tracecar.verdict'], 'injected');
  const children = spans.filter(({ parentSpanId }) => parentSpanId === server.spanId);
  assert.deepEqual(children.map(({ name }) => name).sort(), ['match', 'patch']);
  assert.match(
    JSON.stringify(resources[0]),
    /"service.name","value":\{"stringValue":"tracecar-injector"/,
  );
}

test('a repair by hand is noticed at once, and pods of other namespaces are asked for', async () => {
  const { api, env } = await startApi();
  api.write(configurationPath, configurationOf());
  const injector = new Injector(quickArgs, env);
  const { port } = await injector.line('ready: the API server can ask');
  const healed = new Promise<void>((resolve) => {
    api.beforeWrite = (call) => {
      if (call === `PATCH ${configurationPath}`) resolve();
    };
  });
  const ca = bundlesOf(api.objects.get(configurationPath))[0]!;
  api.write(configurationPath, configurationOf());
  await healed;
  const target = { port: Number(port), ca, servername };
  const body = reviewOf({ namespace: 'nowhere', object: podOf('a') });
  assert.equal((await send(target, { body })).status, 500);
  const exited = once(injector.child, 'exit');
  injector.child.kill('SIGTERM');
  assert.deepEqual(await exited, [0, null]);
  await api.close();
});

test('a collector that does not answer does not hold up the end', async () => {
  const { api, env } = await startApi();
  api.write(configurationPath, configurationOf());
  const silent = createTcpServer(() => {});
  await new Promise<void>((resolve) => silent.listen(0, '127.0.0.1', resolve));
  after(() => silent.close());
  const endpoint = `http://127.0.0.1:${(silent.address() as AddressInfo).port}`;
  const patient = { OTEL_EXPORTER_OTLP_ENDPOINT: endpoint, OTEL_EXPORTER_OTLP_TIMEOUT: '120000' };
  const injector = new Injector(quickArgs, { ...env, ...patient });
  const { port } = await injector.line('ready: the API server can ask');
  const ca = bundlesOf(api.objects.get(configurationPath))[0]!;
  responseOf(await send({ port: Number(port), ca, servername }, { body: reviewOf() }), uid);
  const started = performance.now();
  const exited = once(injector.child, 'exit');
  injector.child.kill('SIGTERM');
  assert.deepEqual(await exited, [0, null]);
  const tookMs = performance.now() - started;
  // The export itself would wait for two minutes.
  assert.ok(tookMs < 60_000, `${tookMs} ms`);
  await api.close();
});

test('what cannot start says why in one line, with status 2', async () => {
  const cases: readonly (readonly [readonly string[], Record<string, string>, RegExp])[] = [
    [['--image', 'a'], {}, /not a pod: KUBERNETES_SERVICE_HOST is not set/],
    [
      ['--image', 'a', '--health', '192.0.2.1:80'],
      { KUBERNETES_SERVICE_HOST: '127.0.0.1' },
      /192.0.2.1:80, the health port \(--health\), is not an address of this machine/,
    ],
  ];
  for (const [args, env, said] of cases) {
    const injector = new Injector(args, env);
    const [status] = await once(injector.child, 'close');
    assert.match(injector.lines.map(({ message }) => message).join('\n'), said);
    assert.equal(status, 2);
  }
});
