/**
 * A gateway as a program: Secrets among the resources, files that are not there yet, a load that goes on
 * while certificates change, and an admin page that tells no keys.
 */

import assert from 'node:assert/strict';
import { X509Certificate } from 'node:crypto';
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { Agent, request } from 'node:https';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, type TestContext, test } from 'node:test';
import type { TLSSocket } from 'node:tls';
import { freePorts } from '../../bench/stage/free-ports.ts';
import { type Certificate, CertificateAuthority } from '../support/certificates.ts';
import {
  application,
  get,
  getUntil,
  type RunningSidecar,
  serviceEntryYaml,
  startSidecar,
  temporaryFolder,
} from './sidecar-process.ts';

const folder = mkdtempSync(join(tmpdir(), 'tracecar-gateway-program-'));
after(() => rmSync(folder, { recursive: true, force: true }));
const authority = new CertificateAuthority(folder);
const first = authority.issue('shop.example.com');
const second = authority.issue('shop.example.com');

function secretYaml({ cert, key }: Certificate): string {
  const data = { 'tls.crt': cert, 'tls.key': key };
  const lines = Object.entries(data).map(
    ([name, text]) => `  ${name}: ${Buffer.from(text).toString('base64')}\n`,
  );
  return `apiVersion: v1\nkind: Secret\nmetadata: {name: shop}\ntype: kubernetes.io/tls\ndata:\n${lines.join('')}`;
}

function gatewayYaml(port: number): string {
  return `apiVersion: networking.istio.io/v1
kind: Gateway
metadata: {name: shop}
spec:
  selector: {app: app}
  servers:
    - port: {number: ${port}, name: https, protocol: HTTPS}
      hosts: ['*.example.com']
      bind: 127.0.0.1
      tls: {mode: SIMPLE, credentialName: shop}
---
apiVersion: networking.istio.io/v1
kind: VirtualService
metadata: {name: web}
spec:
  hosts: ['*.example.com']
  gateways: [shop]
  http: [{route: [{destination: {host: web}}]}]
`;
}

interface Gateway {
  readonly config: string;
  readonly secrets: string;
  readonly port: number;
  readonly environment: Readonly<Record<string, string>>;
}

async function gatewayOf(t: TestContext): Promise<Gateway> {
  const [config, secrets] = [temporaryFolder(t), temporaryFolder(t)];
  const [port] = (await freePorts(1)) as [number];
  const web = await application(t, (_request, response) => response.end('web'));
  writeFileSync(join(config, 'gateway.yaml'), gatewayYaml(port));
  writeFileSync(join(config, 'services.yaml'), serviceEntryYaml('web', [web]));
  return { config, secrets, port, environment: { TRACECAR_SECRETS: secrets } };
}

interface Served {
  readonly status: number;
  /** Serial number of the certificate. */
  readonly serial: string;
}

function ask({ port }: Gateway, agent?: Agent): Promise<Served> {
  return new Promise((settle, reject) => {
    const to = { host: '127.0.0.1', port, path: '/', headers: { host: 'shop.example.com' } };
    const tls = { servername: 'shop.example.com', ca: authority.cert };
    const sent = request({ ...to, ...tls, agent: agent ?? false }, (response) => {
      const serial = (response.socket as TLSSocket).getPeerCertificate().serialNumber;
      response.resume();
      response.on('end', () => settle({ status: response.statusCode ?? 0, serial }));
      response.on('error', reject);
    });
    sent.on('error', reject);
    sent.end();
  });
}

function serialOf({ cert }: Certificate): string {
  return new X509Certificate(cert).serialNumber;
}

async function untilServed(gateway: Gateway, certificate: Certificate): Promise<void> {
  while ((await ask(gateway)).serial !== serialOf(certificate)) {
    // Each question is a whole handshake: the gateway is asked again at once.
  }
}

async function bodiesOf({ admin, metrics, lines }: RunningSidecar): Promise<string> {
  const pages = ['/config', '/stats', '/connections', '/clusters'].map((path) => get(admin, path));
  const answers = [...(await Promise.all(pages)), await get(metrics, '/metrics')];
  return [...answers.map(({ body }) => body), ...lines].join('\n');
}

test('a Secret among the resources is served, and renewed while requests go on', async (t) => {
  const gateway = await gatewayOf(t);
  const file = join(gateway.config, 'secret.yaml');
  writeFileSync(file, secretYaml(first));
  const sidecar = await startSidecar(t, gateway.config, [], gateway.environment);
  const agent = new Agent({ keepAlive: true, maxSockets: 1 });
  t.after(() => agent.destroy());
  assert.deepEqual(await ask(gateway, agent), { status: 200, serial: serialOf(first) });
  writeFileSync(file, secretYaml(second));
  await untilServed(gateway, second);
  const kept = await ask(gateway, agent);
  assert.deepEqual(kept, { status: 200, serial: serialOf(first) }, 'the connection lives on');
  const told = await bodiesOf(sidecar);
  for (const { key } of [first, second]) {
    const secret = key.split('\n')[1]!;
    assert.ok(!told.includes(secret), 'a key is told');
    assert.ok(!told.includes(Buffer.from(key).toString('base64').slice(0, 40)), 'a key is told');
  }
  assert.match(told, /secret:default\/shop\/tls\.key#[0-9a-f]{16}/);
});

test('certificates change under load, and no request fails', async (t) => {
  const gateway = await gatewayOf(t);
  const path = join(gateway.secrets, 'shop');
  mkdirSync(path);
  const write = ({ cert, key }: Certificate) => {
    writeFileSync(join(path, 'tls.crt'), cert);
    writeFileSync(join(path, 'tls.key'), key);
  };
  write(first);
  await startSidecar(t, gateway.config, [], gateway.environment);
  let isOver = false;
  const counts = { kept: 0, fresh: 0 };
  const load = async (agent: Agent | undefined, kind: keyof typeof counts) => {
    while (!isOver) {
      assert.equal((await ask(gateway, agent)).status, 200);
      counts[kind]++;
    }
    agent?.destroy();
  };
  const keeping = () => new Agent({ keepAlive: true, maxSockets: 1 });
  const loads = [load(keeping(), 'kept'), load(keeping(), 'kept'), load(undefined, 'fresh')];
  for (const next of [second, first, second]) {
    write(next);
    await untilServed(gateway, next);
  }
  while (counts.kept < 50 || counts.fresh < 10) await ask(gateway);
  isOver = true;
  await Promise.all(loads);
});

test('a certificate that is not there yet keeps a gateway from being ready, and is named', async (t) => {
  const gateway = await gatewayOf(t);
  const started = /"message":"not ready"/;
  const sidecar = await startSidecar(
    t,
    gateway.config,
    [],
    gateway.environment,
    undefined,
    started,
  );
  const { reason } = await sidecar.logged(started);
  assert.match(String(reason), /default\/shop\/servers\[0\] of listener gateway\|.*shop\/tls\.crt/);
  const path = join(gateway.secrets, 'shop');
  mkdirSync(path);
  writeFileSync(join(path, 'tls.key'), first.key);
  writeFileSync(join(path, 'tls.crt'), first.cert);
  const isGood = ({ ready }: { readonly ready: boolean }) => ready;
  await getUntil(sidecar.admin, '/stats', isGood);
  assert.equal((await ask(gateway)).serial, serialOf(first));
});
