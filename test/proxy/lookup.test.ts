/** Outbound lookup: what a request means by the address that it was sent to, beside its authority. */

import assert from 'node:assert/strict';
import { type TestContext, test } from 'node:test';
import { RecordKind } from '../../src/telemetry/record/exchange-record.ts';
import { startCapture } from '../support/capture-fixture.ts';
import { answering, okWith, RawOrigin } from '../support/raw-origin.ts';
import {
  backendOf,
  capturePlanOf,
  clusterOf,
  destinationOf,
  listenerOf,
  ruleOf,
} from '../support/tables.ts';

const service = 'web.default.svc.cluster.local';
const listener = 'outbound||80';
const defaultRule = ruleOf({ resource: 'ServiceEntry default/web', route: 'default/web' });
const writtenRule = ruleOf();

async function origin(t: TestContext, body: string): Promise<RawOrigin> {
  const started = await RawOrigin.start(answering(() => okWith(body)));
  t.after(() => started.close());
  return started;
}

/** The listener of port 80, which knows `web` alone. */
function webWith(rule = defaultRule) {
  const host = { name: service, domains: [service, 'web'], rules: [rule] };
  const over = { name: listener, address: '', port: 80, defaultHost: -1 };
  return listenerOf([], { ...over, virtualHosts: [host] });
}

function get(authority: string): string {
  return `GET / HTTP/1.1\r\nHost: ${authority}\r\n\r\n`;
}

const known = { service, listener, protocol: 'http' } as const;

test('a request to a virtual address is of its service, whatever authority it names', async (t) => {
  const web = await origin(t, 'web');
  const virtual = destinationOf({ ...known, address: '10.96.0.1', port: 80 });
  const capture = { outbound: [webWith()], destinations: [virtual] };
  const proxy = await startCapture(t, { capture, clusters: [clusterOf([web.port])] });
  for (const authority of ['web', 'anything.example', '10.96.0.1']) {
    const downstream = await proxy.outbound({ address: '10.96.0.1', port: 80 });
    await downstream.send(get(authority));
    assert.equal((await downstream.response()).body, 'web');
  }
  await proxy.telemetry.recorded(3);
  const { names, records } = proxy.telemetry;
  for (const { kind, destinationId, routeId } of records) {
    assert.equal(kind, RecordKind.Client);
    assert.equal(destinationId, names.idOf('10.96.0.1:80'));
    assert.equal(routeId, names.idOf('default/web'));
  }
});

test('a known host without a matching rule is not taken for the service of the address', async (t) => {
  const web = await origin(t, 'web');
  const virtual = destinationOf({ ...known, address: '10.96.0.1', port: 80 });
  const picky = { name: 'picky', domains: ['picky'], rules: [] };
  const listening = webWith();
  const outbound = [{ ...listening, virtualHosts: [...listening.virtualHosts, picky] }];
  const proxy = await startCapture(t, {
    capture: { outbound, destinations: [virtual] },
    clusters: [clusterOf([web.port])],
  });
  const downstream = await proxy.outbound({ address: '10.96.0.1', port: 80 });
  await downstream.send(get('picky'));
  assert.match((await downstream.response()).body, /^no-route:/);
});

test('a range of virtual addresses is known by each of them, the longest range first', async (t) => {
  const [web, other] = [await origin(t, 'web'), await origin(t, 'other')];
  const wide = destinationOf({ ...known, address: '10.96.0.0', prefix: 16 });
  const narrow = { address: '10.96.7.0', prefix: 24, service: 'other', listener };
  const hosts = [
    { name: service, domains: [service], rules: [defaultRule] },
    {
      name: 'other',
      domains: ['other'],
      rules: [ruleOf({ identity: 'other', backends: [backendOf({ cluster: 'other' })] })],
    },
  ];
  const proxy = await startCapture(t, {
    capture: {
      outbound: [{ ...webWith(), virtualHosts: hosts }],
      destinations: [wide, destinationOf({ ...known, ...narrow })],
    },
    clusters: [clusterOf([web.port]), clusterOf([other.port], { name: 'other' })],
  });
  const cases = [
    ['10.96.1.1', 'web'],
    ['10.96.7.1', 'other'],
  ] as const;
  for (const [address, body] of cases) {
    const downstream = await proxy.outbound({ address, port: 80 });
    await downstream.send(get('anything.example'));
    assert.equal((await downstream.response()).body, body);
  }
});

test('who dials one endpoint of a service gets that one', async (t) => {
  const [first, second] = [await origin(t, 'first'), await origin(t, 'second')];
  const at = { address: '127.0.0.1', port: second.port, kind: 'endpoint' } as const;
  const capture = { outbound: [webWith()], destinations: [destinationOf({ ...known, ...at })] };
  const clusters = [clusterOf([first.port, second.port])];
  const proxy = await startCapture(t, { capture, clusters });
  for (const authority of ['web', 'web-1.web.default.svc.cluster.local', 'web', '10.244.0.9']) {
    const downstream = await proxy.outbound(second.port);
    await downstream.send(get(authority));
    assert.equal((await downstream.response()).body, 'second', authority);
  }
  assert.equal(first.connections.length, 0);
  await proxy.telemetry.recorded(4);
  const { names, records } = proxy.telemetry;
  assert.deepEqual(new Set(records.map((each) => each.destinationId)).size, 1);
  assert.equal(records[0]!.routeId, names.idOf('default/web'));
});

test('rules that somebody wrote for the name hold for an endpoint too', async (t) => {
  const [first, second] = [await origin(t, 'first'), await origin(t, 'second')];
  const at = { address: '127.0.0.1', port: second.port, kind: 'endpoint' } as const;
  const destinations = [destinationOf({ ...known, ...at })];
  const proxy = await startCapture(t, {
    capture: { outbound: [webWith(writtenRule)], destinations },
    clusters: [clusterOf([first.port, second.port])],
  });
  const bodies: string[] = [];
  for (const authority of ['web', 'web', 'not-web.example', 'not-web.example']) {
    const downstream = await proxy.outbound(second.port);
    await downstream.send(get(authority));
    bodies.push((await downstream.response()).body);
  }
  assert.deepEqual(bodies.slice(0, 2).toSorted(), ['first', 'second']);
  assert.deepEqual(bodies.slice(2), ['second', 'second'], 'an address alone is no name');
});

test('an endpoint that refuses is not replaced by another one', async (t) => {
  const [first, gone] = [await origin(t, 'first'), await origin(t, 'gone')];
  const { port } = gone;
  await gone.close();
  const at = { address: '127.0.0.1', port, kind: 'endpoint' } as const;
  const capture = { outbound: [webWith()], destinations: [destinationOf({ ...known, ...at })] };
  const proxy = await startCapture(t, { capture, clusters: [clusterOf([first.port, port])] });
  const downstream = await proxy.outbound(port);
  await downstream.send(get('web'));
  assert.match((await downstream.response()).body, /^connect-refused:/);
  assert.equal(first.connections.length, 0);
  assert.equal(proxy.telemetry.records.length, 1, 'one attempt');
});

test('a table that comes later says what an open connection was sent to', async (t) => {
  const web = await origin(t, 'web');
  const proxy = await startCapture(t, {
    capture: { outboundPolicy: 'registry-only' },
    clusters: [clusterOf([web.port])],
  });
  const downstream = await proxy.outbound({ address: '10.96.0.1', port: 80 });
  await downstream.send(get('anything.example'));
  assert.match((await downstream.response()).body, /^egress-denied:/);
  const virtual = destinationOf({ ...known, address: '10.96.0.1', port: 80 });
  const capture = capturePlanOf({ outbound: [webWith()], destinations: [virtual] });
  assert.deepEqual(await proxy.proxy.apply({ ...proxy.table, generation: 2, capture }), []);
  await downstream.send(get('anything.example'));
  assert.equal((await downstream.response()).body, 'web');
});
