/** REGISTRY_ONLY: what is not known may not be called, and whoever calls it learns what would allow it. */

import assert from 'node:assert/strict';
import { type TestContext, test } from 'node:test';
import { compileTable, readResources } from '../../src/config/load.ts';
import { failure } from '../../src/model/failure.ts';
import { printDenial, type SpokenProtocol } from '../../src/proxy/capture/denied.ts';
import { startCapture } from '../support/capture-fixture.ts';
import { helloMessage, inRecords, serverName } from '../support/client-hello.ts';
import { answering, okWith, RawOrigin } from '../support/raw-origin.ts';
import {
  clusterOf,
  connectionRuleOf,
  destinationOf,
  listenerOf,
  ruleOf,
} from '../support/tables.ts';

const outboundPolicy = 'registry-only';
const limits = { detectSilenceMs: 20 };

async function origin(t: TestContext): Promise<RawOrigin> {
  const started = await RawOrigin.start(answering(() => okWith('here')));
  t.after(() => started.close());
  return started;
}

test('a request to an unknown host is refused, and its answer holds what allows it', async (t) => {
  const original = await origin(t);
  const proxy = await startCapture(t, { capture: { outboundPolicy }, limits });
  const downstream = await proxy.outbound(original.port);
  await downstream.send('GET / HTTP/1.1\r\nHost: api.example.com\r\n\r\n');
  const { status, head, body } = await downstream.response();
  assert.equal(status, 502);
  assert.match(head, /^x-tracecar-cause: egress-denied$/m);
  assert.ok(body.includes(`api.example.com at 127.0.0.1:${original.port}`), body);
  assert.match(body, /kind: ServiceEntry, .*hosts: \[api\.example\.com\].*protocol: HTTP/);
  assert.equal(original.connections.length, 0, 'it was not even dialled');
  await proxy.telemetry.recorded(1);
  assert.equal(proxy.telemetry.records[0]!.causeCode, failure['egress-denied'].code);
});

test('a name that is known on the port may be called at any address', async (t) => {
  const [web, original] = [await origin(t), await origin(t)];
  const over = { name: 'web', address: '', port: original.port, defaultHost: -1 };
  const host = { name: 'web', domains: ['web'], rules: [ruleOf()] };
  const proxy = await startCapture(t, {
    capture: { outboundPolicy, outbound: [listenerOf([], { ...over, virtualHosts: [host] })] },
    clusters: [clusterOf([web.port])],
    limits,
  });
  const downstream = await proxy.outbound(original.port);
  await downstream.send('GET / HTTP/1.1\r\nHost: web\r\n\r\n');
  assert.equal((await downstream.response()).body, 'here');
  await downstream.send('GET / HTTP/1.1\r\nHost: other.example\r\n\r\n');
  assert.match((await downstream.response()).body, /^egress-denied:/);
  assert.equal(original.connections.length, 0);
});

test('what is no HTTP is reset, with a line in the log that holds what allows it', async (t) => {
  const original = await origin(t);
  const proxy = await startCapture(t, { capture: { outboundPolicy }, limits });
  const downstream = await proxy.outbound(original.port);
  await downstream.send(inRecords(helloMessage(serverName('api.example.com'))));
  assert.equal(await downstream.closed(), 'reset');
  const again = await proxy.outbound(original.port);
  await again.send(inRecords(helloMessage(serverName('api.example.com'))));
  assert.equal(await again.closed(), 'reset');
  const silent = await proxy.outbound(original.port);
  assert.equal(await silent.closed(), 'reset');
  assert.equal(original.connections.length, 0);
  const [line, ...more] = proxy.log;
  assert.match(line!, /^warn outbound: api\.example\.com at .*kind: ServiceEntry, .*protocol: TLS/);
  assert.match(
    more[0]!,
    /^warn outbound: 127\.0\.0\.1:\d+ is .*kind: ServiceEntry, .*protocol: TCP/,
  );
  assert.deepEqual(more.slice(1), [], 'at most one line in a while about each');
  await proxy.telemetry.recorded(3);
  const { causes } = proxy.telemetry.metrics.connectionGauge('outbound');
  assert.equal(causes[failure['egress-denied'].code], 3);
  assert.equal(
    causes.reduce((sum, each) => sum + each),
    3,
  );
  for (const { causeCode } of proxy.telemetry.records) {
    assert.equal(causeCode, failure['egress-denied'].code);
  }
});

test('what is refused is not also said to be relayed', async (t) => {
  const original = await origin(t);
  const over = { name: 'web', address: '', port: original.port, defaultHost: -1 };
  const host = { name: 'web', domains: ['web'], rules: [ruleOf()] };
  const proxy = await startCapture(t, {
    capture: { outboundPolicy, outbound: [listenerOf([], { ...over, virtualHosts: [host] })] },
    limits,
  });
  const downstream = await proxy.outbound(original.port);
  await downstream.send(inRecords(helloMessage(serverName('api.example.com'))));
  assert.equal(await downstream.closed(), 'reset');
  const [line, ...more] = proxy.log;
  assert.match(line!, /api\.example\.com at .* is not known here/);
  assert.deepEqual(more, []);
});

test('a name outside may be called by SNI at any address, another one may not', async (t) => {
  const [api, original] = [await origin(t), await origin(t)];
  const byName = destinationOf({
    ...{ address: '', prefix: 0, port: original.port, service: '', protocol: 'tls' },
    connectionRules: [
      connectionRuleOf({ matches: [{ sniHosts: ['api.example.com'], subnets: [] }] }),
    ],
  });
  const proxy = await startCapture(t, {
    capture: { outboundPolicy, destinations: [byName] },
    clusters: [clusterOf([api.port])],
    limits,
  });
  const hello = inRecords(helloMessage(serverName('api.example.com')));
  const downstream = await proxy.outbound(original.port);
  await downstream.send(hello);
  await (await api.connection(0)).untilReceived(hello.toString('latin1'));
  downstream.reset();
  const other = await proxy.outbound(original.port);
  await other.send(inRecords(helloMessage(serverName('evil.example.com'))));
  assert.equal(await other.closed(), 'reset');
  assert.equal(original.connections.length, 0);
});

test('a known address without rules is where its connections go', async (t) => {
  const original = await origin(t);
  const at = { address: '127.0.0.1', port: original.port, protocol: 'http' } as const;
  const proxy = await startCapture(t, {
    capture: { outboundPolicy, destinations: [destinationOf(at)] },
    limits,
  });
  const downstream = await proxy.outbound(original.port);
  await downstream.send('\x01\x02');
  await (await original.connection(0)).untilReceived('\x01\x02');
  downstream.reset();
});

test('inbound connections are never refused by it', async (t) => {
  const application = await origin(t);
  const proxy = await startCapture(t, { capture: { outboundPolicy } });
  const downstream = await proxy.inbound(application.port);
  await downstream.send('GET / HTTP/1.1\r\nHost: anything.example\r\n\r\n');
  assert.equal((await downstream.response()).body, 'here');
});

test('what allows a call is one line of YAML, also for an address without a name', () => {
  const at = { address: '192.0.2.7', port: 5432 };
  for (const hostname of ['', '192.0.2.7', 'a b', 'x\r\ny.z', 'single', '-a.b']) {
    const text = printDenial(hostname, at, 'TCP');
    assert.match(text, /^192\.0\.2\.7:5432 is not known here/);
    assert.match(text, /hosts: \[address-192-0-2-7-5432\.internal\]/);
    assert.ok(!text.includes('\n'));
  }
  const v6 = printDenial('', { address: '2001:db8::1', port: 80 }, 'TCP');
  assert.match(v6, /hosts: \[address-2001-db8--1-80\.internal\], .*addresses: \["2001:db8::1"\]/);
});

/** The resource of a denial, as somebody copies it. */
function pasted(hostname: string, address: string, port: number, protocol: SpokenProtocol): string {
  const text = printDenial(hostname, { address, port }, protocol);
  return text.slice(text.indexOf('{apiVersion'));
}

test('what allows several calls can be pasted into one file, whatever they have in common', () => {
  const long = `${'a'.repeat(60)}.example.com`;
  const documents = [
    pasted('api.example.com', '192.0.2.1', 443, 'TLS'),
    pasted('api.example.com', '192.0.2.1', 80, 'HTTP'),
    pasted('api.example.com', '192.0.2.1', 5432, 'TCP'),
    pasted(long, '192.0.2.1', 443, 'TLS'),
    pasted(long, '192.0.2.1', 8443, 'TLS'),
    pasted('', '192.0.2.1', 5432, 'TCP'),
    pasted('', '192.0.2.1', 5433, 'TCP'),
    pasted('', '2001:db8::1', 5432, 'TCP'),
    pasted('', '2001:db8:1::', 5432, 'TCP'),
    pasted('', '::1', 5432, 'TCP'),
  ];
  const { resources, diagnostics } = readResources([
    { file: 'pasted.yaml', text: documents.join('\n---\n') },
  ]);
  assert.deepEqual(diagnostics, []);
  const context = { namespace: 'default', labels: {}, generation: 1, capture: 'redirect' } as const;
  const { diagnostics: more, table } = compileTable(resources, context);
  assert.deepEqual(more, []);
  const api = table.clusters.filter(({ service }) => service === 'api.example.com');
  assert.deepEqual(
    api
      .flatMap(({ endpoints }) => endpoints.map(({ port }) => port))
      .toSorted((one, other) => one - other),
    [80, 443, 5432],
  );
});
