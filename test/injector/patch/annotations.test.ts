/**
 * Annotations: docs/annotations.md is the table of the code, values are strict, long ones cheap.
 */

import assert from 'node:assert/strict';
import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';
import {
  readCpu,
  readDrainSeconds,
  readHistory,
  readMemory,
  readName,
  readNames,
  readPorts,
  readPrefixes,
  readSampler,
  readUrl,
} from '../../../injector/annotation-values.ts';
import { annotationsPage, readOptions } from '../../../injector/annotations.ts';
import { decide } from '../../../injector/decide.ts';
import { meshed, settings } from './pod-fixtures.ts';

const page = join(import.meta.dirname, '../../../docs/annotations.md');

test('docs/annotations.md is made from the table', () => {
  if (process.env.UPDATE_GOLDEN === '1') writeFileSync(page, annotationsPage());
  assert.equal(readFileSync(page, 'utf8'), annotationsPage());
});

const wrong: readonly (readonly [string, (text: string) => object, readonly string[]])[] = [
  ['CPU', readCpu, ['', '0', '0m', '-1', '1e9', 'NaN', '65', '1.0001', '1,5', '100M', ' 1']],
  ['memory', readMemory, ['', '-1', 'NaN', '1e9', '256', '63Mi', '65Gi', '1Ti', '64mi', '0Mi']],
  ['history', readHistory, ['', '8', '8m', '8Gi', '255Ki', '65Mi', '-1', '08Mi', '1e3Ki', '0Mi']],
  ['ports', readPorts, ['80;rm -rf /', '80 -j ACCEPT', '0', '65536', '1-', '-1', '١٢', '9-8', ',']],
  ['ports', readPorts, [Array.from({ length: 10_000 }, (_none, at) => at + 1).join(',')]],
  [
    'prefixes',
    readPrefixes,
    ['0.0.0.0/33', '10.0.0.0/8,--jump', 'fe80::1%eth0', '::/129', '1.2/8'],
  ],
  ['drain', readDrainSeconds, ['', '-1', '1.5', '3601', '1e3', '0x10']],
  ['sampler', readSampler, ['', '1.1', '-0.1', 'NaN', 'on', 'traceidratio', 'always_on=1', '1e-3']],
  ['name', readName, ['', 'A', 'a_b', '-a', 'a.', '../a', 'a'.repeat(254)]],
  ['names', readNames, ['', 'a,', 'a,B', 'a,b,c,d,e,f,g,h,i']],
  ['URL', readUrl, ['', 'otlp', 'ftp://a', 'http://u:p@a', 'http://a/?q', 'http://a b', '//a']],
];

for (const [what, reader, texts] of wrong) {
  test(`${what} values that are wrong are refused: ${texts[0]!.slice(0, 20)} and others`, () => {
    for (const text of texts)
      assert.ok('problem' in reader(text), `'${text.slice(0, 40)}' was taken`);
  });
}

test('values are kept as Kubernetes prints them', () => {
  assert.deepEqual(readCpu('1500m'), { value: '1500m' });
  assert.deepEqual(readCpu('2.0'), { value: '2' });
  assert.deepEqual(readCpu('0.25'), { value: '250m' });
  assert.deepEqual(readMemory('1024Mi'), { value: { limit: '1Gi', request: '96Mi' } });
  assert.deepEqual(readMemory('64Mi'), { value: { limit: '64Mi', request: '64Mi' } });
  assert.deepEqual(readPorts(' 22, 9000-9010 '), { value: '22,9000-9010' });
  assert.deepEqual(readPrefixes('10.1.2.3/8'), { value: '10.0.0.0/8' });
  assert.deepEqual(readHistory('0'), { value: { flag: '0', bytes: 0 } });
  assert.deepEqual(readHistory('256Ki'), { value: { flag: '256k', bytes: 262_144 } });
  assert.deepEqual(readHistory('64Mi'), { value: { flag: '64m', bytes: 67_108_864 } });
  const share = { name: 'parentbased_traceidratio', argument: '0.25' };
  assert.deepEqual(readSampler('0.25'), { value: share });
});

test('the annotation of a pod wins over that of its namespace', () => {
  const key = 'tracecar.dev/propagation';
  const read = (pod: Record<string, string>, namespace: Record<string, string>) => {
    const result = readOptions(pod, namespace, settings);
    return 'options' in result ? result.options.propagation : result.problem;
  };
  assert.equal(read({}, {}), 'off');
  assert.equal(read({}, { [key]: 'node' }), 'node');
  assert.equal(read({ [key]: 'off' }, { [key]: 'node' }), 'off');
});

test('an annotation of 250 KiB is refused without its text', () => {
  const pod = {
    metadata: {
      annotations: {
        'tracecar.dev/skip-inbound-ports': '80,'.repeat(85_000),
        other: 'x'.repeat(250_000),
      },
    },
    spec: { containers: [{ name: 'app' }] },
  };
  const decision = decide(pod, meshed, settings);
  assert.equal(decision.refuse, true);
  assert.ok(decision.reason.length < 200);
});

test('a known key is never suggested for a long unknown one', () => {
  const key = `tracecar.dev/${'inject'.repeat(10_000)}`;
  const pod = { metadata: { annotations: { [key]: '' } }, spec: {} };
  assert.match(decide(pod, meshed, settings).reason, /is unknown; docs\/annotations.md has all$/);
});

const labelled = (labels: Record<string, string>, spec: object = {}) => ({
  metadata: { labels },
  spec: { containers: [{ name: 'app' }], ...spec },
});

test('a label of ours that means nothing is refused, whatever the namespace says', () => {
  for (const namespace of [meshed, { ...meshed, labels: {} }]) {
    const misspelt = decide(labelled({ 'tracecar.dev/enject': 'enabled' }), namespace, settings);
    assert.equal(misspelt.refuse, true);
    assert.match(misspelt.reason, /label tracecar.dev\/enject of the pod is unknown; did you mean/);
    const misplaced = decide(labelled({ 'tracecar.dev/propagation': 'off' }), namespace, settings);
    assert.match(misplaced.reason, /propagation of the pod is read as an annotation only/);
  }
  const labels = { ...meshed.labels, 'tracecar.dev/sampler': '1' };
  const ofNamespace = decide(labelled({}), { ...meshed, labels }, settings);
  assert.match(ofNamespace.reason, /sampler of the namespace is read as an annotation only/);
});

test('a pod whose grace period is no longer than the drain of its sidecar is warned', () => {
  const warningsOf = (spec: object, annotations: Record<string, string> = {}) =>
    decide(labelled({}, spec), { ...meshed, annotations }, settings).warnings.join('\n');
  const drain = { 'tracecar.dev/drain-seconds': '60' };
  assert.match(
    warningsOf({ terminationGracePeriodSeconds: 5 }, drain),
    /has 5 s to end .* drains for up to 60 s/,
  );
  assert.match(warningsOf({}, drain), /has 30 s to end/);
  assert.match(warningsOf({ terminationGracePeriodSeconds: 10 }), /drains for up to 25 s/);
  assert.equal(warningsOf({}), '');
  assert.equal(warningsOf({ terminationGracePeriodSeconds: 61 }, drain), '');
  assert.equal(warningsOf({ terminationGracePeriodSeconds: 0 }), '', 'it wants to be killed');
});

test("the injector's own namespace is left out, whatever its name", () => {
  const own = { ...meshed, name: 'mesh' };
  const told = { ...settings, exempt: ['mesh'] };
  assert.match(decide(labelled({}), own, told).reason, /mesh is a system namespace/);
  const other = { ...meshed, name: 'tracecar-system' };
  assert.equal(decide(labelled({}), other, told).inject, true);
  assert.equal(decide(labelled({}), other, settings).inject, false);
});
