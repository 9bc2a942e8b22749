/**
 * examples/kubernetes without a cluster: its configuration has no diagnostic, as injected pods see it, and
 * its workloads are taken by `tracecar inject`. test/peers/story.test.ts runs it for real.
 */

import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { join, resolve } from 'node:path';
import { test } from 'node:test';
import { parseAllDocuments } from 'yaml';

const root = resolve(import.meta.dirname, '../../..');
const example = join(root, 'examples/kubernetes');

function tracecar(...args: string[]) {
  const entry = join(root, 'src/cli/tracecar.ts');
  return spawnSync(process.execPath, [entry, ...args], { encoding: 'utf8' });
}

test('the configuration of the example has no diagnostic for any of its pods', () => {
  const pods = ['app=web,version=v1', 'app=reviews,version=v2', 'app=ratings,version=v1'];
  for (const labels of pods) {
    const view = ['--capture', 'redirect', '--namespace', 'shop', '--labels', labels];
    const { status, stdout, stderr } = tracecar('validate', join(example, 'mesh'), ...view);
    assert.equal(status, 0, stdout + stderr);
    assert.match(stdout + stderr, /^0 errors, 0 warnings in 4 files\n$/);
  }
});

test('the workloads of the example can be injected as they are', () => {
  const file = ['-f', join(example, 'applications.yaml'), '--namespace', 'shop'];
  const { status, stdout, stderr } = tracecar('inject', ...file, '--image', 'x');
  assert.equal(status, 0, stderr);
  assert.equal(stderr, '');
  const deployments = parseAllDocuments(stdout)
    .map((document) => document.toJS())
    .filter(({ kind }) => kind === 'Deployment');
  assert.equal(deployments.length, 4);
  for (const { spec } of deployments) {
    const names = spec.template.spec.initContainers.map(({ name }: { name: string }) => name);
    assert.deepEqual(names, ['tracecar-proxy', 'tracecar-init']);
  }
});
