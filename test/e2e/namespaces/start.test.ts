/**
 * The start of a pod on a real kernel: whoever dials, and when, loses nothing; and rules that go in a
 * running pod show in its readiness.
 */

import assert from 'node:assert/strict';
import { resolve } from 'node:path';
import { after, before, test } from 'node:test';
import { mesh, runInit, startSidecar } from '../../support/meshed-pods.ts';
import {
  makePods,
  type Pod,
  type PodNetwork,
  type PodProcess,
  users,
  whyNoPods,
} from '../../support/namespace-pods.ts';
import { skipWithout } from '../../support/skip-without.ts';
import { coldStarts, flush, startCold } from './cold-starts.ts';

const applications = resolve(import.meta.dirname, 'applications.cjs');
const dialAll = resolve(import.meta.dirname, 'dial-all.cjs');
const skip = skipWithout(import.meta.filename, whyNoPods());

let network: PodNetwork | undefined;
let pod: Pod;
let far: Pod;
let flushed: Pod;
let flushedSidecar: PodProcess;

const ready = (from: Pod) => from.get(users.app, '127.0.0.1', 15_021, '/healthz/ready');

before(async () => {
  if (skip !== false) return;
  network = makePods(3);
  [pod, far, flushed] = network.pods as [Pod, Pod, Pod];
  const names = ['pod', 'far'];
  const started = [pod, far].map((each, index) =>
    each.start(users.app, [process.execPath, applications, names[index]!]).says(/open/),
  );
  [flushedSidecar] = await Promise.all([mesh(flushed, 'flushed'), ...started]);
  // Half a minute goes by until the next proof: the other tests run meanwhile.
  assert.match(ready(flushed), /^HTTP\/1\.1 200/);
  flush(flushed);
});

after(() => network?.close());

test('cold starts: what the application dials as its first act is never lost', {
  skip,
}, async () => {
  for (let count = 0; count < coldStarts.some; count += 1) await startCold(pod, far);
});

test('a sidecar that starts again under callers loses none that it accepted', {
  skip,
}, async (t) => {
  flush(pod);
  assert.equal(runInit(pod).status, 0);
  for (const address of [far.v4, far.v6]) {
    const dialling = pod.start(users.app, [process.execPath, dialAll, address]);
    await dialling.says(/dialling/);
    const sidecar = startSidecar(pod, 'again');
    t.after(() => sidecar.child.kill('SIGKILL'));
    await dialling.says(/^answered/);
    await sidecar.says(/"message":"ready"/);
    dialling.child.kill('SIGTERM');
    const counts = JSON.parse(await dialling.says(/^\{/));
    assert.deepEqual(counts.lost, []);
    assert.ok(counts.refused > 0 && counts.answered > 0, JSON.stringify(counts));
    sidecar.child.kill('SIGKILL');
    await sidecar.ended;
  }
});

test('a flush of the rules turns readiness off, and their return turns it on', {
  skip,
}, async () => {
  // That it is 33 s at most is test/main/redirection-watch.test.ts's.
  await flushedSidecar.says(/not ready: the redirection rules of this pod are not/);
  assert.match(ready(flushed), /^HTTP\/1\.1 503 .*redirection rules of this pod are not in force/s);
  assert.equal(runInit(flushed).status, 0);
  await flushedSidecar.says(/the redirection rules of this pod are in force/);
  assert.match(ready(flushed), /^HTTP\/1\.1 200/);
  const told = flushedSidecar.lines.filter((each) => /redirection rules/.test(each));
  assert.equal(told.length, 2, told.join('\n'));
});
