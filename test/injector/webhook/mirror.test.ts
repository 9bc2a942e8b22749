import assert from 'node:assert/strict';
import { test } from 'node:test';
import jsonPatch from 'fast-json-patch';
import { isProblem, readReview } from '../../../injector/admission.ts';
import { mirrorMark, mirrorNamespace, reviewNamespace } from '../../../injector/mirror.ts';
import { NamespaceMirror } from '../../../injector/mirror-watch.ts';
import { systemClock } from '../../../src/base/clock.ts';
import { systemWakeUps } from '../../../src/base/deadlines.ts';
import { seededRandom } from '../../../src/base/random.ts';
import { KubeClient } from '../../../src/kube/kube-client.ts';
import { reviewOf } from './https-client.ts';
import { ScriptedApi, type StoredObject } from './scripted-api.ts';

const key = 'tracecar.dev/inject';
const exempt = ['kube-system', 'tracecar-system'];

function mirrored(annotation?: string, label?: string, mark?: string, name = 'shop') {
  const annotations: Record<string, string> = {};
  if (annotation !== undefined) annotations[key] = annotation;
  if (mark !== undefined) annotations[mirrorMark] = mark;
  const labels: Record<string, string> = label === undefined ? {} : { [key]: label };
  return mirrorNamespace(name, { labels, annotations }, exempt);
}

function set(value: string) {
  return { labels: { [key]: value }, annotations: { [mirrorMark]: value } };
}

test('the label follows the annotation, and goes with it when the mirror wrote it', () => {
  assert.deepEqual(mirrored('enabled').change, set('enabled'));
  assert.deepEqual(mirrored('disabled', 'enabled', 'enabled').change, set('disabled'));
  assert.equal(mirrored('enabled', 'enabled', 'enabled').change, undefined);
  assert.deepEqual(mirrored(undefined, 'enabled', 'enabled').change, {
    labels: { [key]: null },
    annotations: { [mirrorMark]: null },
  });
  assert.deepEqual(mirrored('enabled', undefined, 'enabled').change, set('enabled'));
});

test("a person's own label stays", () => {
  assert.equal(mirrored().change, undefined);
  assert.equal(mirrored(undefined, 'enabled').change, undefined);
  assert.equal(mirrored('enabled', 'enabled').change, undefined);
  assert.deepEqual(mirrored(undefined, 'disabled', 'enabled').change, {
    annotations: { [mirrorMark]: null },
  });
});

test('a label against the annotation is set back, and the person is told', () => {
  const { change, warnings } = mirrored('enabled', 'disabled', 'enabled');
  assert.deepEqual(change, set('enabled'));
  assert.match(warnings[0] ?? '', /follows the annotation.*change the annotation/);
});

test('a wrong word changes nothing; a namespace of the system gets no label', () => {
  assert.equal(mirrored('true').change, undefined);
  assert.equal(mirrored('true', 'enabled', 'enabled').change, undefined, 'pods stay guarded');
  const system = mirrored('enabled', undefined, undefined, 'kube-system');
  assert.equal(system.change, undefined);
  assert.match(system.warnings[0] ?? '', /kube-system never get a sidecar/);
});

test('the rule reaches its end in one step, from every state', () => {
  const values = [undefined, 'enabled', 'disabled', 'other'];
  for (const annotation of values) {
    for (const label of values) {
      for (const mark of values) {
        const { change } = mirrored(annotation, label, mark);
        if (change === undefined) continue;
        const next = (
          map: Record<string, string | null> | undefined,
          name: string,
          old?: string,
        ) => (map !== undefined && name in map ? (map[name] ?? undefined) : old);
        const again = mirrored(
          annotation,
          next(change.labels, key, label),
          next(change.annotations, mirrorMark, mark),
        );
        assert.equal(again.change, undefined, `${annotation} ${label} ${mark}`);
      }
    }
  }
});

function review(operation: string, object: unknown, oldObject: unknown = null) {
  const body = reviewOf({
    resource: 'namespaces',
    operation,
    object,
    oldObject,
    namespace: 'shop',
    name: 'shop',
  });
  const read = readReview(Buffer.from(body));
  assert.ok(!isProblem(read));
  return reviewNamespace(read, exempt);
}

test('a review of a namespace writes the label before the namespace is stored', () => {
  for (const metadata of [
    { name: 'shop', annotations: { [key]: 'enabled' } },
    { name: 'shop', annotations: { [key]: 'enabled' }, labels: null },
    { name: 'shop', annotations: { [key]: 'enabled' }, labels: { 'a/b~c': 'd' } },
  ]) {
    const object = { metadata, spec: {} };
    const answer = review('CREATE', object);
    assert.ok(answer.allowed);
    const after = jsonPatch.applyPatch(
      structuredClone(object),
      [...answer.operations] as never,
      true,
    ).newDocument as unknown as StoredObject;
    assert.equal(after.metadata.labels?.[key], 'enabled');
    assert.equal(after.metadata.annotations?.[mirrorMark], 'enabled');
    const again = review('UPDATE', after);
    assert.ok(again.allowed && again.operations.length === 0);
  }
});

test('a namespace without the annotation, and one that is deleted, pass untouched', () => {
  for (const [operation, object] of [
    ['CREATE', { metadata: { name: 'shop' } }],
    ['DELETE', null],
    ['UPDATE', { metadata: null }],
  ] as const) {
    const answer = review(operation, object);
    assert.ok(answer.allowed && answer.operations.length === 0);
  }
});

/** A namespace with annotations and labels. */
function namespace(annotations: Record<string, string>, labels: Record<string, string> = {}) {
  return { metadata: { name: 'shop', annotations, labels } };
}

const mistakes: readonly (readonly [ReturnType<typeof namespace>, RegExp])[] = [
  [
    namespace({ [key]: 'true' }),
    /annotation tracecar.dev\/inject of the namespace is enabled or disabled, not 'true'/,
  ],
  [namespace({}, { [key]: 'yes' }), /label tracecar.dev\/inject of the namespace is enabled or/],
  [
    namespace({ 'tracecar.dev/injct': 'enabled' }),
    /annotation tracecar.dev\/injct .* is unknown; did you mean `tracecar.dev\/inject`/,
  ],
  [
    namespace({}, { 'tracecar.dev/enject': 'enabled' }),
    /label tracecar.dev\/enject of the namespace is unknown; did you mean `tracecar.dev\/inject`/,
  ],
  [
    namespace({}, { 'tracecar.dev/propagation': 'off' }),
    /label tracecar.dev\/propagation of the namespace is read as an annotation only; write it there/,
  ],
  [
    namespace({ [key]: 'enabled', 'tracecar.dev/sampler': 'banana' }),
    /annotation tracecar.dev\/sampler of the namespace is a share .* not 'banana'/,
  ],
];

test('a mistake in what is ours is refused by whoever writes it into a namespace', () => {
  for (const [wrong, said] of mistakes) {
    for (const answer of [review('CREATE', wrong), review('UPDATE', wrong, namespace({}))]) {
      assert.ok(!answer.allowed, JSON.stringify(wrong));
      assert.match(answer.message, said);
    }
  }
});

test('a mistake that is stored already is a warning, and the namespace can be changed', () => {
  for (const [wrong, said] of mistakes) {
    const answer = review('UPDATE', wrong, wrong);
    assert.ok(answer.allowed);
    assert.match(answer.warnings.join('\n'), said);
  }
  const { metadata } = namespace({ 'tracecar.dev/enject': 'enabled', 'tracecar.dev/sampler': '2' });
  const answer = review('UPDATE', { metadata }, namespace({ 'tracecar.dev/enject': 'enabled' }));
  assert.ok(!answer.allowed);
  assert.doesNotMatch(answer.message, /enject/);
});

test('what is right, or not ours, is neither refused nor warned of', () => {
  for (const right of [
    namespace({ [key]: 'enabled', 'tracecar.dev/sampler': 'always_on' }),
    namespace({ [mirrorMark]: 'enabled', [key]: 'enabled' }, { [key]: 'enabled' }),
    namespace({ 'example.dev/inject': 'x' }, { 'tracecar.development/inject': 'x' }),
  ]) {
    const answer = review('CREATE', right);
    assert.ok(answer.allowed);
    assert.deepEqual(answer.warnings, []);
  }
});

test('what changed while no injector ran is repaired, and what changes later too', async () => {
  const api = new ScriptedApi();
  await api.start();
  const at = (name: string) => `/api/v1/namespaces/${name}`;
  const write = (name: string, annotations: object, labels: object = {}) =>
    api.write(at(name), { metadata: { name, annotations, labels } } as StoredObject);
  write('new', { [key]: 'enabled' });
  write('left', { [mirrorMark]: 'enabled' }, { [key]: 'enabled' });
  write('own', {}, { [key]: 'enabled' });
  write('kube-system', { [key]: 'enabled' });
  write('wrong', { [key]: 'true', 'tracecar.dev/samplr': '1' });
  const client = new KubeClient({
    server: `http://127.0.0.1:${api.port}`,
    tokenFile: undefined,
    caFile: undefined,
    userAgent: 'test',
  });
  const warned: string[] = [];
  let onRepaired = () => {};
  const repaired = () =>
    new Promise<void>((resolve) => {
      onRepaired = resolve;
    });
  const mirror = new NamespaceMirror({
    client,
    clock: systemClock,
    wakeUps: systemWakeUps,
    random: seededRandom(1),
    exempt,
    log: (level, message) => {
      if (level === 'info') onRepaired();
      else warned.push(message);
    },
    onSynced: () => {},
  });
  const first = repaired();
  mirror.start();
  await first;
  await repaired();
  assert.equal(mirror.isSynced, true);
  assert.equal(api.objects.get(at('new'))?.metadata.labels?.[key], 'enabled');
  assert.deepEqual(api.objects.get(at('left'))?.metadata.labels, {});
  assert.deepEqual(api.objects.get(at('left'))?.metadata.annotations, {});
  const later = repaired();
  write('later', { [key]: 'disabled' });
  await later;
  assert.equal(api.objects.get(at('later'))?.metadata.labels?.[key], 'disabled');
  assert.equal(api.objects.get(at('own'))?.metadata.labels?.[key], 'enabled');
  assert.equal(api.writes.length, 3);
  assert.equal(warned.length, 1, 'each state is told once');
  assert.match(warned[0]!, /^namespace wrong: annotation tracecar.dev\/inject .*'true'; .*samplr/);
  const facts = await mirror.factsOf('own', true);
  assert.deepEqual(facts, { name: 'own', labels: { [key]: 'enabled' }, annotations: {} });
  await assert.rejects(mirror.factsOf('missing', true), /NotFound/);
  await mirror.stop();
  await client.close();
  await api.close();
});
