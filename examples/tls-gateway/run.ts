/**
 * TLS at the edge, step by step: plain text is led to https, each name gets its certificate, strangers and
 * wrong names are turned away, a renewed certificate is served at once.
 *
 * One `tracecar proxy` is the gateway; one application behind it speaks HTTP, another one TLS of its own.
 * What is printed is what a downstream sees.
 */

import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { createServer } from 'node:http';
import { createServer as createTlsServer } from 'node:https';
import type { Server } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { Children } from '../ab-rollout/driver/children.ts';
import { tracecar } from '../ab-rollout/driver/command.ts';
import { exitOnSignal } from '../ab-rollout/driver/exit-on-signal.ts';
import { Certificates } from './certificates.ts';
import { type Ask, Downstream } from './downstream.ts';

/** Of mesh. */
const ports = { http: 24_480, https: 24_443, web: 24_401, inside: 24_402 };
const here = import.meta.dirname;

function listening(server: Server, port: number): Promise<Server> {
  return new Promise((settle, reject) => {
    server.on('error', reject);
    server.listen(port, '127.0.0.1', () => settle(server));
  });
}

/** Says who its gateway says is there. */
function startWeb(): Promise<Server> {
  const server = createServer(({ headers, url }, response) => {
    const by = `${headers['x-forwarded-for']} by ${headers['x-forwarded-proto']}`;
    const subject = /Subject="([^"]*)"/.exec(String(headers['x-forwarded-client-cert'] ?? ''))?.[1];
    response.end(`web ${url} for ${by}${subject === undefined ? '' : `, ${subject}`}`);
  });
  return listening(server, ports.web);
}

function startInside(secret: string): Promise<Server> {
  const own = {
    cert: readFileSync(join(secret, 'tls.crt')),
    key: readFileSync(join(secret, 'tls.key')),
  };
  const server = createTlsServer(own, ({ url }, response) => response.end(`inside ${url}`));
  return listening(server, ports.inside);
}

async function show(downstream: Downstream, ask: Ask): Promise<void> {
  const { name, host = name, path, note = '' } = ask;
  const scheme = ask.isPlain === true ? 'http' : 'https';
  const asked = `${scheme}://${host}${path}${note === '' ? '' : ` (${note})`}`;
  console.log(`  ${asked.padEnd(54)} ${await downstream.say(ask)}`);
}

async function present(certificates: Certificates, downstream: Downstream): Promise<void> {
  const partner = certificates.issue('partner', 'partner.example.net');
  const [shop, blog] = ['shop.example.com', 'blog.example.com'] as const;
  console.log('plain text is told to come by https\n');
  await show(downstream, { name: shop, path: '/cart?item=7', isPlain: true });

  console.log(
    '\neach name has its certificate, and the caller the kind of key that it can check\n',
  );
  await show(downstream, { name: shop, path: '/cart' });
  await show(downstream, {
    name: shop,
    path: '/cart',
    sigalgs: 'RSA-PSS+SHA256',
    note: 'RSA only',
  });
  await show(downstream, { name: blog, path: '/' });
  await show(downstream, { name: 'inside.example.com', path: '/', note: 'TLS is passed through' });

  console.log('\nnobody else is served\n');
  await show(downstream, { name: 'nobody.example.org', path: '/' });
  await show(downstream, { name: blog, path: '/', maxVersion: 'TLSv1.2', note: 'TLS 1.2' });
  await show(downstream, { name: blog, host: shop, path: '/', note: `asked of ${blog}` });
  const partners = 'partners.example.com';
  await show(downstream, { name: partners, path: '/', note: 'no certificate' });
  await show(downstream, { name: partners, path: '/', identity: partner, note: 'with one' });

  console.log('\na renewed certificate is served at once; who is connected stays connected\n');
  const kept = await downstream.keep(blog);
  const before = await downstream.serialOf(blog);
  certificates.issue('wildcard', '*.example.com');
  const start = performance.now();
  while ((await downstream.serialOf(blog)) === before) {
    await new Promise((settle) => setTimeout(settle, 20));
  }
  const isSoon = performance.now() - start < 1_000;
  console.log(`  served ${isSoon ? 'within a second' : 'after more than a second'}`);
  console.log(`  on the connection from before: ${await kept()}`);
}

exitOnSignal();
const secrets = mkdtempSync(join(tmpdir(), 'tracecar-tls-gateway-'));
process.on('exit', () => rmSync(secrets, { recursive: true, force: true }));
const lost = Promise.withResolvers<never>();
lost.promise.catch(() => {});
const children = new Children((_name, lastWords) => lost.reject(new Error(lastWords)));
const servers: Server[] = [];
try {
  const certificates = new Certificates(secrets);
  certificates.issue('shop-ecdsa', 'shop.example.com');
  certificates.issue('shop-rsa', 'shop.example.com', 'rsa');
  certificates.issue('wildcard', '*.example.com');
  certificates.issue('partners', 'partners.example.com');
  servers.push(await startWeb());
  servers.push(await startInside(certificates.issue('inside', 'inside.example.com')));
  const anyPorts = ['admin', 'health', 'metrics'].map((name) => `--${name}=127.0.0.1:0`);
  await children.start<object>({
    name: 'gateway',
    args: tracecar('proxy', '--config', join(here, 'mesh'), '--labels', 'app=ingress', ...anyPorts),
    environment: {
      TRACECAR_SECRETS: secrets,
      OTEL_TRACES_EXPORTER: 'none',
      TRACECAR_DRAIN_SECONDS: '1',
    },
    isReady: (line) => (line.includes('"message":"ready"') ? {} : undefined),
  });
  const downstream = new Downstream(ports, certificates.root);
  await Promise.race([present(certificates, downstream), lost.promise]);
} catch (error) {
  console.error(`tls-gateway: ${error instanceof Error ? error.message : String(error)}`);
  process.exitCode = 1;
} finally {
  for (const server of servers) server.close();
  await children.endAll(8_000);
}
