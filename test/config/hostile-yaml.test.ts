/** YAML that somebody made to hurt: bombs, prototypes, depth. Bounded time, a complaint, no exception. */

import assert from 'node:assert/strict';
import { test } from 'node:test';
import { compileTable, readResources } from '../../src/config/load.ts';

function codes(text: string): string[] {
  return readResources([{ file: 'x.yaml', text }]).diagnostics.map(({ code }) => code);
}

/** Milliseconds of processor time: what else the machine does must not fail a test. */
function timedMs(run: () => void): number {
  const start = process.cpuUsage();
  run();
  const { user, system } = process.cpuUsage(start);
  return (user + system) / 1_000;
}

const head = 'apiVersion: networking.istio.io/v1\nkind: ServiceEntry\nmetadata: {name: x}\n';

test('an alias bomb of 81 aliases costs no more than its own size', () => {
  const levels = Array.from({ length: 9 }, (_, level) => {
    const inner = level === 0 ? '{address: 127.0.0.1}' : `*l${level - 1}`;
    return `  x${level}: &l${level} [${Array(9).fill(inner).join(', ')}]`;
  });
  const text = `${head}status:\n${levels.join('\n')}\nspec:\n  hosts: *l8\n  endpoints: *l8\n`;
  const spentMs = timedMs(() => assert.ok(codes(text).length > 0));
  assert.ok(spentMs < 1_000, `${spentMs} ms`);
});

test('more than a hundred aliases are refused, a hundred are not', () => {
  const list = (count: number) =>
    `${head}status: {a: &a x, b: [${Array(count).fill('*a').join(', ')}]}\nspec: 1\n`;
  assert.ok(codes(list(101)).includes('TC1013'));
  assert.ok(!codes(list(100)).includes('TC1013'));
});

test('one alias to a huge list is followed only so far', () => {
  const items = Array(20_000).fill('{address: 127.0.0.1}').join(', ');
  const text = `${head}status: &big [${items}]\nspec: {hosts: [a.b], resolution: STATIC, endpoints: *big}\n`;
  assert.ok(codes(text).includes('TC1013'));
});

test('an alias to the value that it stands in ends', () => {
  assert.ok(codes(`${head}spec: &s {hosts: [a.b], endpoints: [*s]}\n`).length > 0);
  assert.ok(codes('a: &a [*a]\n').length > 0);
});

test('__proto__ and constructor are keys like others at every level', () => {
  const text = `${head}__proto__: {polluted: yes}
constructor: {prototype: {polluted: yes}}
spec:
  __proto__: {polluted: yes}
  hosts: [a.example.com]
  resolution: STATIC
  ports: [{number: 80, name: http, protocol: HTTP, __proto__: 1}]
  endpoints: [{address: 127.0.0.1, labels: {__proto__: x, a: b}, constructor: 1}]
`;
  const { resources, diagnostics } = readResources([{ file: 'x.yaml', text }]);
  assert.deepEqual(
    diagnostics.map(({ code, path }) => `${code} ${path}`),
    [
      'TC1201 __proto__',
      'TC1201 constructor',
      'TC1201 spec.__proto__',
      'TC1201 spec.ports[0].__proto__',
      'TC1314 spec.endpoints[0].labels.__proto__',
      'TC1201 spec.endpoints[0].constructor',
    ],
  );
  assert.equal(({} as { polluted?: unknown }).polluted, undefined);
  // It inherits nothing: from an object that is empty, frozen and the last one.
  const inherited = Object.getPrototypeOf(resources[0]!.spec);
  assert.deepEqual(Reflect.ownKeys(inherited), []);
  assert.ok(Object.isFrozen(inherited) && Object.getPrototypeOf(inherited) === null);
});

test('nesting beyond any stack is a complaint', () => {
  assert.ok(codes('['.repeat(50_000)).length > 0);
  assert.ok(codes(`${head}spec: ${'{a: '.repeat(20_000)}1${'}'.repeat(20_000)}\n`).length > 0);
});

test('a mapping of thirty thousand keys is checked for double ones in linear time', () => {
  const keys = Array.from({ length: 30_000 }, (_, index) => `  k${index}: v`).join('\n');
  const text = `${head}status:\n${keys}\n  k7: again\nspec: 1\n`;
  const spentMs = timedMs(() => assert.ok(codes(text).includes('TC1011')));
  assert.ok(spentMs < 5_000, `${spentMs} ms`);
});

test('a file with more mistakes than the limit says how many are not shown', () => {
  const hosts = Array.from({ length: 1_500 }, (_, index) => `    - "a b${index}"`).join('\n');
  const { diagnostics } = readResources([
    {
      file: 'x.yaml',
      text: `${head}spec:\n  resolution: DNS\n  hosts:\n${hosts}\n  ports: [{number: 1, name: http}]\n`,
    },
  ]);
  assert.equal(diagnostics.length, 1_001);
  assert.deepEqual(
    [diagnostics.at(-1)?.code, diagnostics.at(-1)?.message],
    ['TC1005', '500 more complaints are not shown'],
  );
});

test('ten thousand rules are read and compiled', (context) => {
  const rules = Array.from(
    { length: 10_000 },
    (_, index) => `    - match: [{uri: {prefix: /r${index}}, headers: {x-user: {exact: u${index}}}}]
      route: [{destination: {host: reviews}}]`,
  );
  const text = `${head.replace('{name: x}', '{name: reviews}')}spec:
  hosts: [reviews.default.svc.cluster.local]
  resolution: STATIC
  ports: [{number: 80, name: http}]
  endpoints: [{address: 127.0.0.1}]
---
apiVersion: networking.istio.io/v1
kind: Sidecar
metadata: {name: web}
spec: {egress: [{port: {number: 80, protocol: HTTP}, hosts: ["./*"]}]}
---
apiVersion: networking.istio.io/v1
kind: VirtualService
metadata: {name: many}
spec:
  hosts: [reviews]
  http:
${rules.join('\n')}
`;
  let read = readResources([]);
  const readMs = timedMs(() => {
    read = readResources([{ file: 'x.yaml', text }]);
  });
  assert.deepEqual(read.diagnostics, []);
  let rulesFound = 0;
  const compileMs = timedMs(() => {
    const { table } = compileTable(read.resources, {
      namespace: 'default',
      labels: {},
      generation: 1,
      capture: 'none',
    });
    rulesFound = table.listeners[0]!.virtualHosts[0]!.rules.length;
  });
  assert.equal(rulesFound, 10_000);
  context.diagnostic(
    `10,000 rules: read ${readMs.toFixed(0)} ms, compile ${compileMs.toFixed(0)} ms`,
  );
});
