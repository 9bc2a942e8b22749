/** Captured connections: which requests a compiled plan knows, asked as the proxy asks. */

import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';
import { compileTable, readResources } from '../../src/config/load.ts';
import type { Listener, RoutingTable } from '../../src/model/routing-table.ts';
import { ruleIndex } from '../support/rule-index.ts';

const folder = join(import.meta.dirname, '../golden/config');

/** The table of a pod in `namespace` for a golden input. */
function compile(
  name: string,
  namespace = 'default',
  capture: 'none' | 'redirect' = 'redirect',
): RoutingTable {
  const text = readFileSync(join(folder, `${name}.in.yaml`), 'utf8');
  const { resources } = readResources([{ file: name, text }]);
  return compileTable(resources, { namespace, labels: { app: 'web' }, generation: 1, capture })
    .table;
}

function listenerOn(port: number, listeners: readonly Listener[] = []): Listener {
  const [found, ...more] = listeners.filter((each) => each.port === port);
  assert.ok(found !== undefined && more.length === 0, `one listener for port ${port}`);
  return found;
}

/** Subsets and endpoints that a request for `hostname` may reach; undefined: it is passed on. */
function ask(table: RoutingTable, port: number, hostname: string): readonly string[] | undefined {
  const rule = ruleIndex(listenerOn(port, table.capture?.outbound)).match({
    method: 'GET',
    hostname,
    path: '/',
    query: undefined,
    field: () => undefined,
  });
  return rule?.backends.map(({ cluster, weight }) => {
    const { subset, endpoints } = table.clusters.find(({ name }) => name === cluster)!;
    const where = endpoints.map((each) => `${each.address}:${each.port}`).join(' ');
    return `${weight} ${subset} ${where}`;
  });
}

const split = [
  '60 v1 reviews-v1.default.svc.cluster.local:9080',
  '40 v2 reviews-v2.default.svc.cluster.local:9080',
];

test('a captured request is split by every name and address of its service', () => {
  const table = compile('view-capture');
  const names = ['reviews', 'reviews.default', 'reviews.default.svc'];
  for (const name of [...names, 'reviews.default.svc.cluster.local', '10.96.7.7']) {
    assert.deepEqual(ask(table, 9080, name), split, name);
  }
});

test('a short name belongs to the namespace of the pod', () => {
  const table = compile('view-capture', 'far');
  assert.equal(ask(table, 9080, 'reviews'), undefined);
  assert.deepEqual(ask(table, 9080, 'reviews.default'), split);
  assert.deepEqual(ask(table, 9080, 'ratings'), ['100  ratings.far.svc.cluster.local:8080']);
});

test('an authority that is not known on that port is passed on', () => {
  const table = compile('view-capture');
  assert.equal(ask(table, 9080, 'example.org'), undefined);
  assert.equal(ask(table, 9080, '10.244.0.9'), undefined);
  assert.equal(ask(table, 9090, 'ratings.far'), undefined);
});

test('what another namespace keeps to itself is not in the plan', () => {
  const ports = (table: RoutingTable) => table.capture?.outbound.map(({ port }) => port);
  assert.deepEqual(ports(compile('view-capture')), [9080, 9090]);
  assert.deepEqual(ports(compile('view-capture', 'far')), [7070, 9080, 9090]);
});

test('a Sidecar narrows the plan, and its egress port speaks for that port alone', () => {
  const table = compile('view-capture-sidecar');
  assert.deepEqual(ask(table, 9080, 'ratings'), ['100  ratings.default.svc.cluster.local:9080']);
  assert.equal(ask(table, 9080, 'reviews'), undefined);
  assert.deepEqual(ask(table, 9090, 'reviews'), ['100  reviews.default.svc.cluster.local:9090']);
  assert.ok(table.capture?.outbound.every(({ port }) => port !== 7070));
});

test('an ingress entry leads from its captured port to the application, through TLS', () => {
  const table = compile('view-capture-sidecar');
  const { tls, virtualHosts, address } = listenerOn(443, table.capture?.inbound);
  const { cluster } = virtualHosts[0]!.rules[0]!.backends[0]!;
  assert.deepEqual(table.clusters.find(({ name }) => name === cluster)?.endpoints, [
    { address: '127.0.0.1', port: 8080, labels: Object.create(null), zone: '', identity: '' },
  ]);
  assert.deepEqual([address, tls?.mode, tls?.minVersion], ['', 'simple', 'TLSv1.2']);
});

test('without capture there is no plan', () => {
  assert.equal(compile('view-capture', 'default', 'none').capture, undefined);
});

test('a listener whose TLS is broken is left out rather than served in plain text', () => {
  const { listeners } = compile('value-listener-tls', 'default', 'none');
  assert.deepEqual(
    listeners
      .filter(({ direction }) => direction === 'inbound')
      .map(({ port, tls }) => [port, tls?.mode]),
    [[8441, 'simple']],
  );
});

test('a version alone does not make a service the own one, its name does', () => {
  const text = `apiVersion: networking.istio.io/v1
kind: ServiceEntry
metadata: {name: reviews}
spec:
  hosts: [reviews.default.svc.cluster.local]
  resolution: DNS
  ports: [{number: 9080, name: http, protocol: HTTP}]
  endpoints: [{address: reviews-v1.default.svc.cluster.local, labels: {version: v1}}]
---
apiVersion: networking.istio.io/v1
kind: Sidecar
metadata: {name: all}
spec:
  ingress: [{port: {number: 9080, protocol: HTTP}, defaultEndpoint: "127.0.0.1:9080"}]
`;
  const { resources } = readResources([{ file: 'mesh.yaml', text }]);
  const ownOf = (app: string) => {
    const labels = { app, version: 'v1' };
    const context = { namespace: 'default', labels, generation: 1, capture: 'redirect' as const };
    return compileTable(resources, context).table.clusters[0]?.service;
  };
  assert.equal(ownOf('reviews'), 'reviews.default.svc.cluster.local');
  assert.equal(ownOf('ratings'), '');
});
