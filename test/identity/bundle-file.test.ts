/**
 * The file of the trust bundle: which changes of it count.
 */

import assert from 'node:assert/strict';
import { rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { type TestContext, test } from 'node:test';
import { BundleFile } from '../../src/identity/bundle-file.ts';
import { readTrustBundle, type TrustBundle } from '../../src/identity/trust-bundle.ts';
import { agentLimits } from '../../src/model/agent-limits.ts';
import { temporaryFolder } from '../e2e/sidecar-process.ts';
import { makeLeaf, makeRoot } from '../support/mesh-material.ts';

/** A file whose next look is the test's to call. */
function watch(t: TestContext, text: string) {
  const path = join(temporaryFolder(t), 'roots.pem');
  writeFileSync(path, text);
  const bundles: TrustBundle[] = [];
  const lines: string[] = [];
  const file = new BundleFile({
    ...{ path, limits: agentLimits, log: (_level, line) => lines.push(line) },
    wakeUps: { after: () => () => {} },
    onBundle: (bundle) => bundles.push(bundle),
  });
  return { path, bundles, lines, file };
}

const [one, other] = [makeRoot().roots, makeRoot().roots];

test('a file that is replaced, or a link on the way to it, is read again', async (t) => {
  const { bundles, file, path } = watch(t, one);
  await file.start();
  writeFileSync(path, one + other);
  await file.start();
  writeFileSync(`${path}.next`, other);
  rmSync(path);
  symlinkSync(`${path}.next`, path);
  await file.start();
  await file.start();
  assert.deepEqual(
    bundles.map(({ rootHashes }) => rootHashes.length),
    [1, 2, 1],
  );
});

test('the order of roots, a second copy and what is between them change nothing', async (t) => {
  const { bundles, file, path } = watch(t, one + other);
  await file.start();
  writeFileSync(path, `# roots of the mesh\n${other}\n# and\n${one}${one}`);
  await file.start();
  assert.equal(bundles.length, 1);
});

const bad: readonly (readonly [string, string, RegExp])[] = [
  ['emptied', '', /holds no certificate/],
  ['cut off', `${one}${other.slice(0, 200)}`, /ends too early/],
  ['of something else', 'hello', /holds no certificate/],
  ['with a leaf in it', one + makeLeaf(makeRoot()).certificates, /is no authority/],
  [
    'with a broken certificate',
    `${one}-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n`,
    /cannot be read/,
  ],
  ['of a size that no bundle has', one.repeat(200), /more than 65536 bytes/],
];

for (const [what, text, why] of bad) {
  test(`a file ${what} changes nothing: the last good bundle holds`, async (t) => {
    const { bundles, file, lines, path } = watch(t, one);
    await file.start();
    writeFileSync(path, text);
    await file.start();
    await file.start();
    assert.equal(bundles.length, 1);
    assert.equal(lines.length, 1, 'said once');
    assert.match(lines[0]!, why);
    assert.match(lines[0]!, /the bundle read before stays in use$/);
    assert.equal(file.problem, '');
    writeFileSync(path, other);
    await file.start();
    assert.equal(bundles.length, 2);
  });
}

test('a file that was never good says why', async (t) => {
  const { file, lines } = watch(t, '');
  await file.start();
  assert.equal(file.problem, 'it holds no certificate');
  assert.match(lines[0]!, /nobody can be believed$/);
});

test('a bundle of more roots than any rotation needs is refused', () => {
  const many = Array.from({ length: agentLimits.rootsMax + 1 }, () => makeRoot().roots).join('');
  assert.deepEqual(readTrustBundle(many), { problem: 'it holds more than 16 roots' });
});
