/** Calls to the own Service: both halves of the sidecar see them, without a socket between. */

import assert from 'node:assert/strict';
import { once } from 'node:events';
import type { Socket } from 'node:net';
import { type TestContext, test } from 'node:test';
import { usualSecurity } from '../../src/model/security.ts';
import { LocalHop } from '../../src/proxy/scope/local-hop.ts';
import { RecordKind } from '../../src/telemetry/record/exchange-record.ts';
import {
  type CaptureFixtureOptions,
  ownAddress,
  startCapture,
} from '../support/capture-fixture.ts';
import { makeIdentity, makeRoot } from '../support/mesh-material.ts';
import { planOf, policyText } from '../support/policies.ts';
import { answering, type OriginScript, okWith, RawOrigin } from '../support/raw-origin.ts';
import {
  backendOf,
  clusterOf,
  connectionRuleOf,
  destinationOf,
  listenerOf,
  ruleOf,
} from '../support/tables.ts';

const port = 8080;
const virtual = { address: '10.96.0.1', port: 80 };
const service = 'web.default.svc.cluster.local';

/** A pod of `web` with an application, whose service leads to the pod itself. */
async function startSelf(
  t: TestContext,
  script: OriginScript,
  over: Pick<CaptureFixtureOptions, 'mesh' | 'security'> = {},
) {
  const application = await RawOrigin.start(script);
  t.after(() => application.close());
  const self = clusterOf([], {
    name: 'self',
    endpoints: [{ address: ownAddress, port, labels: {}, zone: '', identity: '' }],
  });
  const toSelf = ruleOf({
    resource: 'ServiceEntry default/web',
    backends: [backendOf({ cluster: 'self' })],
  });
  const outbound = listenerOf([], {
    name: 'outbound||80',
    ...{ address: '', port: 80, defaultHost: -1 },
    virtualHosts: [{ name: service, domains: [service], rules: [toSelf] }],
  });
  const inbound = listenerOf([ruleOf()], {
    name: `inbound||${port}`,
    direction: 'inbound',
    ...{ address: '', port },
  });
  const destination = destinationOf({ ...virtual, service, listener: 'outbound||80' });
  const proxy = await startCapture(t, {
    capture: {
      outbound: [outbound],
      inbound: [inbound],
      destinations: [
        { ...destination, protocol: 'http' },
        destinationOf({
          ...{ address: virtual.address, port: 5432, protocol: 'tcp' },
          connectionRules: [connectionRuleOf({ backends: [backendOf({ cluster: 'self' })] })],
        }),
      ],
    },
    clusters: [self, clusterOf([application.port])],
    limits: { detectSilenceMs: 20 },
    ...over,
  });
  return { proxy, application };
}

test('a call to the own Service has two spans of one trace and one answer', async (t) => {
  const { proxy, application } = await startSelf(
    t,
    answering((count) => okWith(`answer ${count}`)),
  );
  const downstream = await proxy.outbound(virtual);
  for (const body of ['answer 1', 'answer 2']) {
    await downstream.send(`GET / HTTP/1.1\r\nHost: ${service}\r\n\r\n`);
    assert.equal((await downstream.response()).body, body);
  }
  assert.equal(application.connections.length, 1);
  await proxy.telemetry.recorded(4);
  const { records } = proxy.telemetry;
  const client = records.find(({ kind }) => kind === RecordKind.Client)!;
  const server = records.find(({ kind }) => kind === RecordKind.Server)!;
  assert.equal(records.length, 4);
  assert.equal(server.traceId3, client.traceId3);
  assert.equal(server.parentId1, client.spanId1);
  assert.equal(server.peerAddress, ownAddress);
});

test('a call to the own Service is judged by the own policies, as a call of the own identity', async (t) => {
  for (const [namespace, status] of [
    ['default', 200],
    ['bank', 403],
  ] as const) {
    const rule = `{from: [{source: {namespaces: [${namespace}]}}]}`;
    const authorization = planOf(policyText('one', `{rules: [${rule}]}`));
    const security = { ...usualSecurity, mode: 'strict', authorization } as const;
    const mesh = makeIdentity(makeRoot(), { serviceAccount: 'web' });
    const script = answering(() => okWith('application'));
    const { proxy } = await startSelf(t, script, { mesh, security });
    const downstream = await proxy.outbound(virtual);
    await downstream.send(`GET / HTTP/1.1\r\nHost: ${service}\r\n\r\n`);
    assert.equal((await downstream.response()).status, status);
  }
});

test('bodies of any size pass both ways, as fast as the slower side takes them', async (t) => {
  const size = 3_000_000;
  const body = 'x'.repeat(size);
  const { proxy, application } = await startSelf(t, async (connection) => {
    await connection.untilReceived('END');
    await connection.send(okWith(body));
  });
  const downstream = await proxy.outbound(virtual);
  const upload = `${'y'.repeat(size)}END`;
  const head = `POST / HTTP/1.1\r\nHost: ${service}\r\nContent-Length: ${upload.length}\r\n\r\n`;
  await downstream.send(head + upload);
  const response = await downstream.response();
  assert.equal(response.body.length, size);
  assert.ok(application.received.endsWith(upload));
});

test('an application that ends in the middle of an answer is seen to', async (t) => {
  const { proxy } = await startSelf(t, async (connection) => {
    await connection.untilReceived('\r\n\r\n');
    await connection.send('HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nhalf');
    connection.reset();
  });
  const downstream = await proxy.outbound(virtual);
  await downstream.send(`GET / HTTP/1.1\r\nHost: ${service}\r\n\r\n`);
  await downstream.untilReceived('half');
  await downstream.closed();
  assert.equal(downstream.received.includes('half'), true);
});

test('a caller that goes away is told to the application', async (t) => {
  const { proxy, application } = await startSelf(t, () => undefined);
  const downstream = await proxy.outbound(virtual);
  await downstream.send(`GET / HTTP/1.1\r\nHost: ${service}\r\n\r\n`);
  const connection = await application.connection(0);
  await connection.untilReceived('\r\n\r\n');
  downstream.reset();
  assert.equal(await connection.closed(), 'reset');
});

test('one end takes no more than the other one reads', async () => {
  let accepted: Socket | undefined;
  let isOpen = false;
  const hop = new LocalHop(
    [ownAddress],
    () => isOpen,
    (socket) => {
      accepted = socket;
    },
  );
  const taker = { onBytes: () => undefined };
  assert.equal(hop.open(ownAddress, port, taker, 1024), undefined, 'it drains: by the kernel');
  isOpen = true;
  assert.equal(hop.open('10.0.0.2', port, taker, 1024), undefined);
  const dialled = hop.open(ownAddress, port, taker, 1024)!;
  await once(dialled, 'connect');
  let isDrained = false;
  dialled.on('drain', () => {
    isDrained = true;
  });
  for (let times = 0; times < 4; times++) dialled.write(Buffer.alloc(1024));
  await new Promise(setImmediate);
  assert.ok(!isDrained && dialled.writableLength >= 3 * 1024, `${dialled.writableLength}`);
  accepted!.resume();
  await once(dialled, 'drain');
  assert.equal(dialled.writableLength, 0);
});

test('a connection that is not read comes in by the inbound half too', async (t) => {
  const { proxy, application } = await startSelf(
    t,
    answering(() => okWith('inside')),
  );
  const downstream = await proxy.outbound({ address: virtual.address, port: 5432 });
  await downstream.send(`GET / HTTP/1.0\r\n\r\n`);
  await downstream.untilReceived('inside');
  assert.equal(application.connections.length, 1);
  downstream.finish();
  await downstream.closed();
  await proxy.telemetry.recorded(2);
  const kinds = proxy.telemetry.records.map(({ kind }) => kind).toSorted();
  assert.deepEqual(kinds, [RecordKind.Server, RecordKind.Connection].toSorted());
});
