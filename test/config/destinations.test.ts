/** Destinations of captured connections: what each address means, and that files' order means nothing. */

import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';
import fc from 'fast-check';
import { compileTable, readResources } from '../../src/config/load.ts';
import type { Destination, RoutingTable } from '../../src/model/routing-table.ts';

const folder = join(import.meta.dirname, '../golden/config');
const names = [
  'view-kubernetes',
  'view-workload-entries',
  'view-connection-routes',
  'view-registry-only',
];

function textOf(name: string): string {
  return readFileSync(join(folder, `${name}.in.yaml`), 'utf8');
}

function compile(text: string): RoutingTable {
  const { resources } = readResources([{ file: 'all.yaml', text }]);
  const context = { namespace: 'default', labels: { app: 'web' }, generation: 1 };
  return compileTable(resources, { ...context, capture: 'redirect' }).table;
}

function destinations(text: string): readonly Destination[] {
  return compile(text).capture!.destinations;
}

/** `10.96.0.10:80 service http reviews`, and where its connections go that are not HTTP. */
function show({ address, prefix, port, kind, protocol, service, ...rest }: Destination): string {
  const { connectionRules } = rest;
  const where = connectionRules.map(({ matches, backends, broken }) => {
    const when = matches.map(({ sniHosts, subnets }) => [...sniHosts, ...subnets].join('+'));
    const to = backends.map(({ cluster, weight }) => `${weight}:${cluster.replace(/\..*/, '')}`);
    return `${when.join(' or ')}=>${broken ?? to.join()}`;
  });
  const bits = prefix === 32 || prefix === 128 ? '' : `/${prefix}`;
  const short = service.split('.', 1)[0];
  return [`${address}${bits} ${port}`, kind, protocol, short, ...where].join(' ');
}

test('virtual addresses, pods and headless pods of Kubernetes are known', () => {
  assert.deepEqual(destinations(textOf('view-kubernetes')).map(show), [
    '10.244.1.1 8080 endpoint http reviews =>100:outbound|80||reviews',
    '10.244.2.2 8080 endpoint http reviews =>100:outbound|80||reviews',
    '10.244.3.0 8080 endpoint http web =>100:outbound|8080||web',
    '10.244.3.1 8080 endpoint http web =>100:outbound|8080||web',
    '10.244.4.1 5432 endpoint tcp db =>100:outbound|5432||db',
    '10.96.0.10 80 service http reviews =>100:outbound|80||reviews',
    '10.96.0.20 5432 service tcp db =>100:outbound|5432||db',
    'fd00:96::10 80 service http reviews =>100:outbound|80||reviews',
  ]);
});

test('machines and pods that a selector takes are endpoints, and a range is a destination', () => {
  assert.deepEqual(destinations(textOf('view-workload-entries')).map(show), [
    '10.244.1.9 8080 endpoint http legacy =>100:outbound|80||legacy',
    '10.244.1.9 9000 endpoint tcp legacy =>100:outbound|9000||legacy',
    '10.97.0.0/24 80 service http legacy =>100:outbound|80||legacy',
    '10.97.0.0/24 9000 service tcp legacy =>100:outbound|9000||legacy',
    '192.0.2.1 8080 endpoint http legacy =>100:outbound|80||legacy',
    '192.0.2.1 9000 endpoint tcp legacy =>100:outbound|9000||legacy',
    '192.0.2.2 8081 endpoint http legacy =>100:outbound|80||legacy',
    '192.0.2.2 9000 endpoint tcp legacy =>100:outbound|9000||legacy',
  ]);
});

test('rules for connections hold on the addresses of their host, and shares on no endpoint', () => {
  const ranged = '10.96.0.0/16=>75:outbound|5432|v1|db,25:outbound|5432|v2|db';
  const db = `${ranged} =>100:outbound|5432|v2|db =>100:outbound|5432||db`;
  const admin = '=>100:outbound|5433|v2|db =>100:outbound|5433||db';
  const sharing = [
    'two.example.net=>100:outbound|443|v2|two',
    'one.example.net=>100:outbound|443||one',
    'two.example.net=>100:outbound|443||two',
    '=>100:outbound|443||one',
  ].join(' ');
  const byName = [
    'b.example.com+*.cdn.example.com=>100:outbound|443||a',
    'a.example.com=>100:outbound|443||a',
    'b.example.com=>100:outbound|443||b',
  ].join(' ');
  assert.deepEqual(destinations(textOf('view-connection-routes')).map(show), [
    `/0 443 service tls  ${byName}`,
    `10.244.4.1 5432 endpoint tcp db ${ranged} =>100:outbound|5432||db`,
    '10.244.4.1 5433 endpoint tcp db =>100:outbound|5433||db',
    `10.244.4.2 5432 endpoint tcp db ${ranged} =>100:outbound|5432||db`,
    '10.244.4.2 5433 endpoint tcp db =>100:outbound|5433||db',
    '10.244.5.1 80 endpoint http mixed =>100:outbound|80||mixed',
    '10.244.5.1 7000 endpoint detect mixed =>100:outbound|7000||mixed',
    '10.244.5.1 50051 endpoint http2 mixed =>100:outbound|50051||mixed',
    `10.244.6.1 443 endpoint tls one ${sharing}`,
    `10.244.6.2 443 endpoint tls one ${sharing}`,
    `10.96.0.20 5432 service tcp db ${db}`,
    `10.96.0.20 5433 service tcp db ${admin}`,
    '10.96.0.30 80 service http mixed =>100:outbound|80||mixed',
    '10.96.0.30 7000 service detect mixed =>100:outbound|7000||mixed',
    '10.96.0.30 50051 service http2 mixed =>100:outbound|50051||mixed',
    '192.0.2.7 25 service tcp 192 =>100:outbound|7000||mixed',
    `240.0.0.7 443 service tls one ${sharing}`,
    `fd00:96::20 5432 service tcp db ${db}`,
    `fd00:96::20 5433 service tcp db ${admin}`,
  ]);
});

test('where the unknown is refused a name outside is known by SNI, or by its port alone', () => {
  const { capture } = compile(textOf('view-registry-only'));
  assert.equal(capture?.outboundPolicy, 'registry-only');
  const byName = 'api.example.com=>100:outbound|443||api';
  const any = 'api.example.com=>100:outbound|8443||api';
  assert.deepEqual(capture.destinations.map(show), [
    `/0 443 service tls  ${byName}`,
    '/0 5432 service tcp  =>100:outbound|5432||api',
    `/0 8443 service detect  ${any}`,
    '/0 9443 service tls  api.example.com=>100:outbound|9443||api',
    '192.0.2.25 25 service tcp mx =>100:outbound|25||mx',
    '192.0.2.26 25 endpoint tcp mx =>100:outbound|25||mx',
  ]);
});

test('rules for one pod of a StatefulSet hold for its short names too, but for what is unclear', () => {
  const rules = `---
apiVersion: networking.istio.io/v1
kind: VirtualService
metadata: {name: web-1}
spec:
  hosts: [web-1.web.default.svc.cluster.local]
  http: [{route: [{destination: {host: web}}]}]
`;
  const clash = `---
apiVersion: networking.istio.io/v1
kind: ServiceEntry
metadata: {name: clash, namespace: web}
spec:
  hosts: [web-1.web.svc.cluster.local]
  resolution: DNS
  ports: [{number: 8080, name: http, protocol: HTTP}]
`;
  const domainsOf = (text: string) =>
    compile(text)
      .capture!.outbound.find(({ port }) => port === 8080)!
      .virtualHosts.find(({ name }) => name.startsWith('web-1.web.default'))!.domains;
  const text = textOf('view-kubernetes') + rules;
  const forms = ['web-1.web.default.svc', 'web-1.web.default'];
  const whole = ['web-1.web.default.svc.cluster.local', ...forms];
  assert.deepEqual(domainsOf(text), [...whole, 'web-1.web']);
  assert.deepEqual(domainsOf(text + clash), whole);
});

test('every name in a destination is one of the table', () => {
  for (const name of names) {
    const { capture, clusters } = compile(textOf(name));
    const known = new Set(clusters.map((each) => each.name));
    for (const { listener, service, connectionRules } of capture!.destinations) {
      const found = capture!.outbound.find((each) => each.name === listener);
      const hosts = found?.virtualHosts.map((each) => each.name);
      assert.ok(
        listener === '' || service === '' || hosts?.includes(service),
        `${name} ${service}`,
      );
      for (const { cluster } of connectionRules.flatMap(({ backends }) => backends)) {
        assert.ok(known.has(cluster), cluster);
      }
    }
  }
});

/** What a table says, whatever the order of its parts. Places of documents move with them. */
function meaning(table: RoutingTable): unknown {
  const byName = <T extends { readonly name: string }>(list: readonly T[]) =>
    list.toSorted((first, second) => (first.name < second.name ? -1 : 1));
  const listeners = byName(table.capture!.outbound).map((each) => ({
    ...each,
    virtualHosts: byName(each.virtualHosts),
  }));
  const whole = { ...table.capture, outbound: listeners, clusters: byName(table.clusters) };
  return JSON.parse(
    JSON.stringify(whole, (key, value) => (key === 'origin' ? 'somewhere' : value)),
  );
}

test('the order of documents means nothing', () => {
  const cases = names.map((name) => ({
    name,
    documents: textOf(name).split('\n---\n'),
    expected: meaning(compile(textOf(name))),
  }));
  const property = fc.property(
    fc.constantFrom(...cases).chain(({ documents, ...rest }) =>
      fc.record({
        ...{ name: fc.constant(rest.name), expected: fc.constant(rest.expected) },
        shuffled: fc.shuffledSubarray(documents, {
          minLength: documents.length,
          maxLength: documents.length,
        }),
      }),
    ),
    ({ shuffled, expected }) => {
      assert.deepEqual(meaning(compile(shuffled.join('\n---\n'))), expected);
    },
  );
  fc.assert(property, { numRuns: 60 });
});
