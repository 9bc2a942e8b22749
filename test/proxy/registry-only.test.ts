/** REGISTRY_ONLY: what is not known may not be called, and whoever calls it learns what would allow it. */

import assert from 'node:assert/strict';
import { type TestContext, test } from 'node:test';
import { failure } from '../../src/model/failure.ts';
import { printDenial } from '../../src/proxy/denied.ts';
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
  const silent = await proxy.outbound(original.port);
  assert.equal(await silent.closed(), 'reset');
  assert.equal(original.connections.length, 0);
  const [line, ...more] = proxy.log;
  assert.match(line!, /^warn outbound: .*kind: ServiceEntry, .*protocol: T(LS|CP)/);
  assert.deepEqual(more, [], 'at most one line in a while');
  await proxy.telemetry.recorded(2);
  for (const { causeCode } of proxy.telemetry.records) {
    assert.equal(causeCode, failure['egress-denied'].code);
  }
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
    assert.match(text, /hosts: \[address-192-0-2-7\.internal\]/);
    assert.ok(!text.includes('\n'));
  }
  const v6 = printDenial('', { address: '2001:db8::1', port: 80 }, 'TCP');
  assert.match(v6, /hosts: \[address-2001-db8-1\.internal\], .*addresses: \["2001:db8::1"\]/);
});
