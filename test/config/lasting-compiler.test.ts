/**
 * The compiler's thread that lasts: a large configuration is read once, and an edit brings what changed.
 */

import assert from 'node:assert/strict';
import { type TestContext, test } from 'node:test';
import { ManualClock } from '../../src/base/clock.ts';
import { type CompileJob, runCompileJob } from '../../src/config/compile-job.ts';
import { CompilerThread } from '../../src/config/compiler-thread.ts';
import type { RoutingTable } from '../../src/model/routing-table.ts';
import { capturePlanOf } from '../support/tables.ts';

const bounded = { timeout: 30_000 };
const hosts = 120;

const service = `apiVersion: networking.istio.io/v1
kind: ServiceEntry
metadata: {name: reviews}
spec:
  hosts: [reviews.default.svc.cluster.local]
  resolution: STATIC
  ports: [{number: 80, name: http, protocol: HTTP}]
  endpoints: [{address: 10.0.0.1, labels: {version: v1}}]
`;

const route = (host: number, weight: number) => `---
apiVersion: networking.istio.io/v1
kind: VirtualService
metadata: {name: host-${host}}
spec:
  hosts: [host-${host}.example.com]
  http:
    - match: [{uri: {prefix: /a-rather-long-path-that-makes-this-file-large/}}]
      route: [{destination: {host: reviews}, weight: ${weight}}]
`;

function textsOf(weight: number): Record<string, string> {
  const others = Array.from({ length: hosts - 1 }, (_, index) => route(index + 1, 1));
  return { 'edited.yaml': route(0, weight), 'others.yaml': service + others.join('') };
}

function jobOf(texts: Readonly<Record<string, string>>, generation: number, over = {}): CompileJob {
  const files = Object.entries(texts).map(([file, text]) => ({ file, text, problem: undefined }));
  return {
    files: { files, problems: [], missingPaths: [] },
    goodTexts: new Map(),
    context: { namespace: 'default', labels: {}, generation, capture: 'redirect' },
    digest: '',
    ...over,
  };
}

function makeThread(context: TestContext) {
  const warnings: string[] = [];
  const thread = new CompilerThread(undefined, (text) => warnings.push(text));
  context.after(() => thread.close());
  return { thread, warnings };
}

const hostsOf = (table: RoutingTable | undefined) => table!.capture!.outbound[0]!.virtualHosts;
const plain = (value: unknown) => JSON.parse(JSON.stringify(value));
const inOneGo = (texts: Readonly<Record<string, string>>, generation: number) =>
  runCompileJob(jobOf(texts, generation), new ManualClock());

test('an edit brings one host anew and leaves the objects of all others', bounded, async (t) => {
  const { thread, warnings } = makeThread(t);
  const first = await thread.run(jobOf(textsOf(1), 1));
  const { goodTexts, table } = first;
  const second = await thread.run(jobOf(textsOf(2), 2, { goodTexts }), table);
  assert.deepEqual(plain(second.table), plain(inOneGo(textsOf(2), 2).table));
  const kept = hostsOf(second.table).filter((host) => hostsOf(table).includes(host));
  assert.deepEqual([kept.length, hostsOf(table).length], [hosts, hosts + 1]);
  assert.equal(second.table?.clusters, table?.clusters);
  assert.ok(Object.isFrozen(hostsOf(second.table)[0]!.rules[0]?.backends));
  assert.deepEqual(second.goodTexts, new Map(Object.entries(textsOf(2))));
  const third = await thread.run(jobOf(textsOf(2), 3, second), second.table);
  assert.equal(third.table, undefined);
  assert.deepEqual(warnings, []);
});

test('a part that does not fit is said, and the whole table comes', bounded, async (t) => {
  const { thread, warnings } = makeThread(t);
  const { table, goodTexts } = await thread.run(jobOf(textsOf(1), 1));
  const another: RoutingTable = { ...table!, capture: capturePlanOf() };
  const { table: next } = await thread.run(jobOf(textsOf(2), 2, { goodTexts }), another);
  assert.deepEqual(plain(next), plain(inOneGo(textsOf(2), 2).table));
  assert.equal(warnings.length, 1);
  assert.match(warnings[0]!, /does not fit \(a list has 0 items, not 1\): taking the whole/);
  const { table: last } = await thread.run(jobOf(textsOf(3), 3, { goodTexts }), next);
  assert.deepEqual(plain(last), plain(inOneGo(textsOf(3), 3).table));
  assert.equal(warnings.length, 1);
});

test('a table that was not taken is the base of nothing', bounded, async (t) => {
  const { thread, warnings } = makeThread(t);
  const { table, goodTexts } = await thread.run(jobOf(textsOf(1), 1));
  await thread.run(jobOf(textsOf(2), 2, { goodTexts }), table);
  const { table: next } = await thread.run(jobOf(textsOf(3), 2, { goodTexts }), table);
  assert.deepEqual(plain(next), plain(inOneGo(textsOf(3), 2).table));
  assert.deepEqual(warnings, []);
});

test('a file with a mistake keeps what it had, in the thread too', bounded, async (t) => {
  const { thread } = makeThread(t);
  const { table, goodTexts } = await thread.run(jobOf(textsOf(1), 1));
  const broken = { ...textsOf(1), 'edited.yaml': `${route(0, 9)}  oops: [` };
  const outcome = await thread.run(jobOf(broken, 2, { goodTexts }), table);
  assert.deepEqual([outcome.table, outcome.refusedFiles], [undefined, ['edited.yaml']]);
  assert.equal(outcome.goodTexts.get('edited.yaml'), route(0, 1));
  const again = await thread.run(jobOf(broken, 2, outcome), table);
  assert.deepEqual(again.diagnostics, outcome.diagnostics);
  assert.ok(again.diagnostics.length > 0);
});

test('a thread that has ended is begun again, with all that it needs', bounded, async (t) => {
  const { thread } = makeThread(t);
  const { table, goodTexts } = await thread.run(jobOf(textsOf(1), 1));
  const lost = thread.run(jobOf(textsOf(2), 2, { goodTexts }), table);
  thread.close();
  await assert.rejects(lost, /the compiler's thread ended/);
  const broken = { ...textsOf(1), 'edited.yaml': 'kind: [' };
  const outcome = await thread.run(jobOf(broken, 2, { goodTexts }), table);
  assert.deepEqual(plain(outcome.table), plain(inOneGo(textsOf(1), 2).table));
});

test('small again, a configuration is read in a thread of its own', bounded, async (t) => {
  const { thread } = makeThread(t);
  const { table, goodTexts } = await thread.run(jobOf(textsOf(1), 1));
  const small = { 'edited.yaml': service + route(0, 5) };
  const outcome = await thread.run(jobOf(small, 2, { goodTexts }), table);
  assert.deepEqual(plain(outcome.table), plain(inOneGo(small, 2).table));
  const large = await thread.run(jobOf(textsOf(4), 3, outcome), outcome.table);
  assert.deepEqual(plain(large.table), plain(inOneGo(textsOf(4), 3).table));
});
