/**
 * Connections of the process itself to a collector: where they go, what is recorded of them, and that
 * nobody waits for them. The worker's agents, in this thread.
 */

import assert from 'node:assert/strict';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { request } from 'node:http';
import { createServer as createSecureServer, request as requestSecurely } from 'node:https';
import { type AddressInfo, connect } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { type TestContext, test } from 'node:test';
import { failure } from '../../src/model/failure.ts';
import type { ProxyServer } from '../../src/proxy/proxy-server.ts';
import { RecordFlag } from '../../src/telemetry/record/exchange-record.ts';
import { DeniedDial } from '../../src/telemetry/transport/own-dial.ts';
import { OwnPath } from '../../src/telemetry/transport/own-path.ts';
import { ownAddress, startCapture } from '../support/capture-fixture.ts';
import { makeLeaf, makeRoot } from '../support/mesh-material.ts';
import { makeDecoy } from '../support/odd-issuers.ts';
import { answering, type OriginScript, okWith, RawOrigin } from '../support/raw-origin.ts';
import {
  clusterOf,
  connectionRuleOf,
  destinationOf,
  listenerOf,
  ruleOf,
} from '../support/tables.ts';

const virtual = { address: '10.96.0.1', port: 4000 };
const service = 'otel.default.svc.cluster.local';

async function originOf(t: TestContext, script: OriginScript): Promise<RawOrigin> {
  const origin = await RawOrigin.start(script);
  t.after(() => origin.close());
  return origin;
}

/** A virtual address that leads to a collector; REGISTRY_ONLY holds. */
async function startRouted(t: TestContext, script: OriginScript, isParking = false, others = 0) {
  const collector = await originOf(t, script);
  const ports = [collector.port];
  for (let index = 0; index < others; index++) {
    const other = await RawOrigin.start(script);
    ports.push(other.port);
    await other.close();
  }
  const over = { name: 'outbound||4000', address: '', port: 4000, defaultHost: -1 };
  const host = { name: service, domains: [service], rules: [ruleOf()] };
  const known = destinationOf({ ...virtual, service, listener: over.name });
  const proxy = await startCapture(t, {
    capture: {
      outboundPolicy: 'registry-only',
      outbound: [listenerOf([], { ...over, virtualHosts: [host] })],
      destinations: [{ ...known, protocol: 'http' }],
    },
    clusters: [clusterOf(ports)],
    isParking,
    limits: { drainListenMs: 0, drainQuietMs: 0 },
  });
  return { proxy, collector };
}

interface Exporter {
  /** The status of a POST to `url`. */
  post(url: string): Promise<number>;
  readonly path: OwnPath;
}

/** An agent that is kept, as an exporter keeps it. */
async function exporterOf(t: TestContext, proxy: ProxyServer, url: string): Promise<Exporter> {
  const path: OwnPath = new OwnPath((id, to) => {
    void proxy.dialOwn(to).then((answer) => path.answered(id, answer));
  });
  const otlp = { protocol: 'http/json', url, headers: {}, timeoutMs: 1_000 } as const;
  const agent = await path.agentFor({ ...otlp, compression: 'none', certificates: {} }, 'traces');
  t.after(() => agent.destroy());
  const post = (to: string): Promise<number> =>
    new Promise((settle, reject) => {
      const sent = request(to, { agent, method: 'POST' }, (response) => {
        response.resume().on('end', () => settle(response.statusCode!));
      });
      sent.on('error', reject).end('{}');
    });
  return { post, path };
}

const url = `http://${virtual.address}:${virtual.port}/v1/spans`;
const ok = answering((count) => okWith(`answer ${count}`));

test('a collector that is known is reached by its route, over one connection, and muted', async (t) => {
  const { proxy, collector } = await startRouted(t, ok);
  const exporter = await exporterOf(t, proxy.proxy, url);
  assert.equal(await exporter.post(url), 200);
  assert.equal(await exporter.post(url), 200);
  assert.equal(collector.connections.length, 1);
  await proxy.telemetry.recorded(2);
  for (const { flags, causeCode } of proxy.telemetry.records) {
    assert.equal(flags & RecordFlag.Muted, RecordFlag.Muted);
    assert.equal(causeCode, 0);
  }
});

test('another table: an idle connection is not used again', async (t) => {
  const { proxy } = await startRouted(t, ok);
  const exporter = await exporterOf(t, proxy.proxy, url);
  assert.equal(await exporter.post(url), 200);
  await proxy.proxy.apply({
    ...proxy.table,
    generation: 2,
    capture: { ...proxy.table.capture!, destinations: [], outbound: [] },
  });
  exporter.path.redial();
  await assert.rejects(exporter.post(url), (error) => {
    assert.ok(error instanceof DeniedDial);
    assert.match(error.message, /^10\.96\.0\.1:4000 is not known here .*kind: ServiceEntry/);
    return true;
  });
});

test('TLS to a collector is spoken end to end, by the authority that is configured', async (t) => {
  const folder = mkdtempSync(join(tmpdir(), 'tracecar-own-calls-'));
  t.after(() => rmSync(folder, { recursive: true, force: true }));
  const root = makeRoot();
  const file = join(folder, 'authority.crt');
  writeFileSync(file, root.roots);
  const { certificates: chain, privateKey: key } = makeLeaf(root, { dnsNames: ['otel.example'] });
  // What it sends behind its own certificate proves nothing, and harms nobody.
  const collector = createSecureServer({ cert: chain + makeDecoy(root), key }, (_, response) => {
    response.end('ok');
  });
  t.after(() => new Promise((settle) => collector.close(settle)));
  await new Promise<void>((settle) => collector.listen(0, '127.0.0.1', settle));
  const { port } = collector.address() as AddressInfo;
  const tls = { ...virtual, protocol: 'tls', connectionRules: [connectionRuleOf()] } as const;
  const proxy = await startCapture(t, {
    capture: { destinations: [destinationOf(tls)] },
    clusters: [clusterOf([port])],
  });
  const path: OwnPath = new OwnPath((id, to) => {
    void proxy.proxy.dialOwn(to).then((answer) => path.answered(id, answer));
  });
  const secure = url.replace('http:', 'https:');
  const otlp = { protocol: 'http/json', url: secure, headers: {}, timeoutMs: 1_000 } as const;
  const certificates = { OTEL_EXPORTER_OTLP_CERTIFICATE: file };
  const agent = await path.agentFor({ ...otlp, compression: 'none', certificates }, 'metrics');
  const status = await new Promise((settle, reject) => {
    const options = { agent, method: 'POST', servername: 'otel.example' };
    const sent = requestSecurely(secure, options, (response) => {
      response.resume().on('end', () => settle(response.statusCode));
    });
    sent.on('error', reject).end('{}');
  });
  assert.equal(status, 200);
  agent.destroy();
  await proxy.telemetry.recorded(1);
  const [record] = proxy.telemetry.records;
  assert.equal(record!.flags & RecordFlag.Muted, RecordFlag.Muted);
  assert.equal(record!.target, 'otel.example');
});

test('before there are routes nothing leaves; loopback and the pod itself need none', async (t) => {
  const { proxy, collector } = await startRouted(t, ok, true);
  const dial = { hostname: 'a', port: collector.port, isTls: false };
  for (const address of ['127.0.0.1', '::1', ownAddress]) {
    assert.deepEqual(await proxy.proxy.dialOwn({ ...dial, address }), { way: 'direct' });
  }
  const answer = await proxy.proxy.dialOwn({ ...dial, address: '10.0.0.9' });
  assert.deepEqual(answer, { way: 'denied', why: 'there are no routes yet' });
  const exporter = await exporterOf(t, proxy.proxy, url);
  assert.equal(await exporter.post(`http://127.0.0.1:${collector.port}/`), 200);
  assert.equal(proxy.telemetry.records.length, 0);
});

test('what nobody has defined is dialled as ever, where that is allowed', async (t) => {
  const proxy = await startCapture(t, {});
  const answer = await proxy.proxy.dialOwn({ ...virtual, hostname: 'otel.example', isTls: false });
  assert.deepEqual(answer, { way: 'direct' });
});

test('a name that rules are written for is enough, a name of TLS that none are for is not', async (t) => {
  const { proxy } = await startRouted(t, ok);
  const elsewhere = { address: '10.0.0.9', port: 4000 };
  const dial = (hostname: string, isTls: boolean) =>
    proxy.proxy.dialOwn({ ...elsewhere, hostname, isTls });
  const through = await dial(service, false);
  assert.equal(through.way, 'through');
  assert.equal((await dial(service, true)).way, 'denied');
  // Whoever asked takes what it asked for.
  const socket = connect({ path: through.way === 'through' ? through.path : '' });
  socket.on('error', () => undefined).resume();
  await new Promise((settle) => socket.once('connect', settle));
  socket.destroy();
});

test('a collector that is down costs an answer, and a repeated attempt makes no span either', async (t) => {
  const { proxy, collector } = await startRouted(t, ok, false, 1);
  await collector.close();
  const exporter = await exporterOf(t, proxy.proxy, url);
  assert.equal(await exporter.post(url), 502);
  const { records } = proxy.telemetry;
  assert.equal(records.length, 2, 'one for each attempt');
  for (const { flags, causeCode } of records) {
    assert.equal(flags & RecordFlag.Muted, RecordFlag.Muted);
    assert.equal(causeCode, failure['connect-refused'].code);
  }
});

test('a drain waits for no collector, and an export leaves after it', async (t) => {
  let isStuck = true;
  const { proxy, collector } = await startRouted(t, async (connection) => {
    await connection.untilReceived('{}');
    if (!isStuck) await connection.send(okWith('late'));
  });
  const exporter = await exporterOf(t, proxy.proxy, url);
  const stuck = exporter.post(url);
  stuck.catch(() => undefined);
  await (await collector.connection(0)).untilReceived('{}');
  const { cut } = await proxy.proxy.drain(600_000);
  assert.equal(cut, 0);
  await assert.rejects(stuck, { code: 'ECONNRESET' });
  isStuck = false;
  assert.equal(await exporter.post(url), 200);
});
