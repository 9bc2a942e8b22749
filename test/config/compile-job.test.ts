/**
 * Compile jobs, in this thread and beside it: the same outcome, and this thread goes on meanwhile.
 */

import assert from 'node:assert/strict';
import { readdirSync, readFileSync } from 'node:fs';
import { join, resolve } from 'node:path';
import { test } from 'node:test';
import { ManualClock, systemClock } from '../../src/base/clock.ts';
import { type CompileJob, runCompileJob } from '../../src/config/compile-job.ts';
import { CompilerThread } from '../../src/config/compiler-thread.ts';

const bounded = { timeout: 30_000 };
const clock = new ManualClock();

function jobOf(texts: Readonly<Record<string, string>>, context = {}): CompileJob {
  const files = Object.entries(texts).map(([file, text]) => ({ file, text, problem: undefined }));
  return {
    files: { files, problems: [], missingPaths: [] },
    goodTexts: new Map(),
    context: { namespace: 'default', labels: {}, generation: 1, capture: 'redirect', ...context },
    digest: '',
  };
}

function exampleTexts(): Record<string, string> {
  const folder = resolve(import.meta.dirname, '../../examples/ab-rollout');
  const names = readdirSync(folder).filter((name) => name.endsWith('.yaml'));
  return Object.fromEntries(names.map((name) => [name, readFileSync(join(folder, name), 'utf8')]));
}

const route = (match: string) => `apiVersion: networking.istio.io/v1
kind: VirtualService
metadata: {name: x}
spec:
  hosts: [x.example]
  http:
    - match: [{uri: {${match}}}]
      route: [{destination: {host: reviews}}]
`;

test('a job has the same outcome beside this thread as in it', bounded, async () => {
  const broken = { 'y.yaml': 'kind: [', 'z.yaml': route('regex: "/a[bc]+"') };
  const job = jobOf({ ...exampleTexts(), ...broken });
  const here = runCompileJob(job, clock);
  const beside = await new CompilerThread().run(job);
  assert.ok(here.diagnostics.some(({ file, line }) => file === 'y.yaml' && line === 1));
  const plain = (outcome: object) => JSON.parse(JSON.stringify({ ...outcome, parsedAtMs: 0 }));
  assert.deepEqual(plain(beside), plain(here));
  assert.deepEqual(beside.goodTexts, here.goodTexts);
  assert.ok(Object.isFrozen(beside.table?.clusters[0]));
  const hosts = beside.table?.capture?.outbound.flatMap(({ virtualHosts }) => virtualHosts) ?? [];
  const path = hosts.find(({ name }) => name === 'x.example')?.rules[0]?.matches[0]?.path;
  assert.ok(path?.kind === 'regex' && path.regex.test('/abc') && !path.regex.test('/abd'));
});

test(
  'an outcome says when its files were parsed, on the same clock in both threads',
  bounded,
  async () => {
    const nowMs = () => systemClock.epochMs + systemClock.now();
    const beganAtMs = nowMs();
    const { parsedAtMs } = await new CompilerThread().run(jobOf(exampleTexts()));
    // Threads read their anchors of wall time at their own start; the machine's clock may be slewed.
    assert.ok(parsedAtMs > beganAtMs - 5 && parsedAtMs < nowMs() + 5);
  },
);

test('a mistake beside it does not open what a PeerAuthentication closes', () => {
  const closed = `apiVersion: security.istio.io/v1\nkind: PeerAuthentication
metadata: {name: all}\nspec: {mtls: {mode: STRICT}}\n`;
  const broken = `${closed}---\n${route('regx: "/a"')}`;
  const { table, refusedFiles } = runCompileJob(jobOf({ 'one.yaml': broken }), clock);
  assert.deepEqual(refusedFiles, ['one.yaml']);
  assert.equal(table?.security.mode, 'strict');
  assert.deepEqual(table?.clusters, [], 'the rest of the file does not count');
  const job = jobOf({ 'one.yaml': broken.replace('STRICT', 'DISABLE') });
  const after = runCompileJob({ ...job, goodTexts: new Map([['one.yaml', closed]]) }, clock);
  assert.equal(after.table?.security.mode, 'strict', 'the last good text of the file counts');
});

test('policies that cannot be read at all deny everything until there was a good text', () => {
  const policy = `apiVersion: security.istio.io/v1\nkind: AuthorizationPolicy
metadata: {name: all}\nspec: {rules: [{}]}\n`;
  const run = (text: string, good: string | undefined) => {
    const goodTexts = new Map(good === undefined ? [] : [['one.yaml', good]]);
    return runCompileJob({ ...jobOf({ 'one.yaml': text }), goodTexts }, clock).table!.security;
  };
  for (const broken of [`${policy}  - ]\n`, `- - {${policy.replaceAll('\n', '\n  ')}`]) {
    const { deny } = run(broken, undefined).authorization;
    assert.deepEqual(
      deny.map(({ name, isUnsupported }) => [name, isUnsupported]),
      [['default/unread', true]],
      broken,
    );
    assert.equal(run(broken, policy).authorization.deny.length, 0);
  }
  assert.equal(run(`# ${policy}kind: [\n`, undefined).authorization.deny.length, 0);
});

test('a table that is in force already is not sent', bounded, async () => {
  const job = jobOf(exampleTexts(), { labels: { app: 'web' } });
  const { digest } = runCompileJob(job, clock);
  const again = { ...job, digest, context: { ...job.context, generation: 2 } };
  const outcome = await new CompilerThread().run(again);
  assert.deepEqual([outcome.table, outcome.digest], [undefined, digest]);
});

test('this thread goes on while a thousand rules are read', bounded, async () => {
  const rules = Array.from(
    { length: 1_000 },
    (_, index) =>
      `    - match: [{uri: {prefix: /p${index}/}}]\n      route: [{destination: {host: reviews}}]\n`,
  );
  const head = route('prefix: /').split('    - match')[0]!;
  const job = jobOf({ ...exampleTexts(), 'many.yaml': head + rules.join('') });
  let turns = 0;
  let isOver = false;
  const turn = () => {
    turns += 1;
    if (!isOver) setImmediate(turn);
  };
  setImmediate(turn);
  const { table } = await new CompilerThread().run(job);
  isOver = true;
  const hosts = table?.capture?.outbound.flatMap(({ virtualHosts }) => virtualHosts) ?? [];
  assert.ok(hosts.some((host) => host.rules.length === 1_000));
  // Read here, it would be one turn or two.
  assert.ok(turns > 100, `${turns} turns`);
});

test('a job under way ends when the thread is closed', bounded, async () => {
  const thread = new CompilerThread();
  const outcome = thread.run(jobOf(exampleTexts()));
  thread.close();
  await assert.rejects(outcome, /the compiler's thread ended/);
});

test("a document without a namespace is of the workload's, as kubectl has it", () => {
  const sidecar = `apiVersion: networking.istio.io/v1
kind: Sidecar
metadata: {name: app}
spec:
  ingress:
    - port: {number: 8080, protocol: HTTP, name: http}
      defaultEndpoint: 127.0.0.1:8081
`;
  const listenersOf = (text: string) => {
    const { table } = runCompileJob(
      jobOf({ 'a.yaml': text }, { namespace: 'shop', capture: 'none' }),
      clock,
    );
    return table?.listeners.length;
  };
  assert.equal(listenersOf(sidecar), 1);
  assert.equal(listenersOf(sidecar.replace('{name: app}', '{name: app, namespace: shop}')), 1);
  assert.equal(listenersOf(sidecar.replace('{name: app}', '{name: app, namespace: default}')), 0);
});
