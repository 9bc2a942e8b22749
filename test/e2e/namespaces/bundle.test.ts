/**
 * dist/ outside of the checkout, as the image has it, captures connections without node:ffi: by the
 * koffi beside it, and with a clear word when that is missing too.
 */

import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { chmodSync, mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join, resolve } from 'node:path';
import { after, before, test } from 'node:test';
import { makePods, type PodNetwork, users, whyNoPods } from '../../support/namespace-pods.ts';
import { skipWithout } from '../../support/skip-without.ts';

const root = resolve(import.meta.dirname, '../../..');
const folder = mkdtempSync(join(tmpdir(), 'tracecar-koffi-'));
const dist = join(folder, 'dist');
const bundle = join(dist, 'tracecar.cjs');

const skip = skipWithout(import.meta.filename, whyNoPods());

let network: PodNetwork | undefined;

before(() => {
  if (skip !== false) return;
  execFileSync(process.execPath, [join(root, 'tools/build.ts'), '--out', dist], { stdio: 'pipe' });
  chmodSync(folder, 0o755);
  network = makePods(1);
});

after(async () => {
  await network?.close();
  rmSync(folder, { recursive: true, force: true });
});

function startSidecar() {
  const [pod] = network!.pods;
  const withoutFfi = [process.execPath, '--no-experimental-ffi', bundle];
  const environment = {
    POD_IPS: `${pod!.v4},${pod!.v6}`,
    OTEL_TRACES_EXPORTER: 'none',
    TRACECAR_WARM_UP_MS: '0',
  };
  return pod!.start(users.proxy, [...withoutFfi, 'proxy', '--capture=redirect'], environment);
}

test('without node:ffi the koffi of dist/ reads original destinations', { skip }, async (t) => {
  const [pod] = network!.pods;
  const init = pod!.run(users.init, [process.execPath, bundle, 'init']);
  assert.equal(init.status, 0, init.errors);
  const sidecar = startSidecar();
  t.after(() => sidecar.child.kill('SIGKILL'));
  // Ready is only who has proven, over both families, that a redirected connection can be read.
  await sidecar.says(/"message":"ready"/);
  rmSync(join(dist, 'node_modules'), { recursive: true });
  const lacking = startSidecar();
  t.after(() => lacking.child.kill('SIGKILL'));
  await lacking.says(/the original destination cannot be read \(node:ffi: .*; koffi: .*\)/);
});
