/**
 * Golden pods: NAME.in.yaml (namespace, pod, settings) beside NAME.out.json (decision and patch).
 *
 * UPDATE_GOLDEN=1 rewrites the .out.json files that differ; `npm run format` gives them their form.
 */

import assert from 'node:assert/strict';
import { existsSync, readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';
import { isDeepStrictEqual } from 'node:util';
import fastJsonPatch from 'fast-json-patch';
import { parse } from 'yaml';
import { decide } from '../../../injector/decide.ts';
import { diff } from '../../../injector/json-patch.ts';
import { injectPod } from '../../../injector/patch.ts';
import { withoutInjection } from '../../../injector/patch-strip.ts';
import { readPod } from '../../../injector/pod.ts';
import { settings } from './pod-fixtures.ts';

const folder = join(import.meta.dirname, '../../golden/injector');
const isUpdating = process.env.UPDATE_GOLDEN === '1';
const names = readdirSync(folder)
  .filter((name) => name.endsWith('.in.yaml'))
  .map((name) => name.slice(0, -'.in.yaml'.length));

for (const name of names) {
  test(`golden ${name}`, () => {
    const input = parse(readFileSync(join(folder, `${name}.in.yaml`), 'utf8'));
    const read = readPod(input.pod);
    assert.ok('pod' in read);
    const namespace = { labels: {}, annotations: {}, ...input.namespace };
    const chosen = { ...settings, ...input.settings };
    const decision = decide(read.pod, namespace, chosen);
    const after = decision.inject ? injectPod(read.pod, namespace, chosen) : read.pod;
    const patch = diff(read.pod, after);
    const path = join(folder, `${name}.out.json`);
    const known = existsSync(path) ? JSON.parse(readFileSync(path, 'utf8')) : undefined;
    const result = { ...decision, patch };
    if (isUpdating && !isDeepStrictEqual(result, known)) {
      writeFileSync(path, `${JSON.stringify(result, null, 2)}\n`);
    } else assert.deepEqual(result, known);
    const applied = fastJsonPatch.applyPatch(
      structuredClone(read.pod),
      structuredClone(patch),
      true,
    );
    assert.deepEqual(applied.newDocument, after);
    assert.deepEqual(decide(after, namespace, chosen).inject, decision.inject);
    if (decision.inject) assert.deepEqual(diff(after, injectPod(after, namespace, chosen)), []);
  });
}

test('every golden output has its input', () => {
  const outputs = readdirSync(folder).filter((name) => name.endsWith('.out.json'));
  assert.deepEqual(outputs, names.map((name) => `${name}.out.json`).toSorted());
});

/** Ports that are texts come back as numbers, null lists as lists; an older injection was no plain pod. */
const unequalBack = ['older-injection', 'named-port-probes', 'null-lists', 'probes-odd'];

test('taking an injection away gives the pod back', () => {
  let compared = 0;
  for (const name of names) {
    const input = parse(readFileSync(join(folder, `${name}.in.yaml`), 'utf8'));
    const namespace = { labels: {}, annotations: {}, ...input.namespace };
    const chosen = { ...settings, ...input.settings };
    const { inject } = decide(input.pod, namespace, chosen);
    const isPlain = !unequalBack.includes(name);
    if (!inject || !isPlain) continue;
    const back = withoutInjection(injectPod(input.pod, namespace, chosen));
    assert.deepEqual(
      { ...back, metadata: back.metadata ?? {} },
      { metadata: {}, ...input.pod },
      name,
    );
    compared += 1;
  }
  assert.ok(compared > 10, `${compared} pods compared`);
});
