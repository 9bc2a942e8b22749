/**
 * The pods of the bench: a caller's connection goes through the sidecar, the lookup is measured on
 * redirected connections, and nothing is left behind. Needs root and namespaces, and says so without.
 */

import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { mkdirSync, mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, test } from 'node:test';
import { root } from '../../bench/arms/find.ts';
import type { LoadAnswer } from '../../bench/interception-load.ts';
import { type LookupFigures, lookupConnections } from '../../bench/micro/original-destination.ts';
import { CapturePods } from '../../bench/stage/capture-pods.ts';
import { Children } from '../../bench/stage/children.ts';
import { Stage } from '../../bench/stage/stage.ts';
import { whyNoPods } from '../support/namespace-pods.ts';

const why = whyNoPods();
const skip = why === undefined ? false : why.toUpperCase();
const guarded = { skip, timeout: 120_000 };
const folder = mkdtempSync(join(tmpdir(), 'bench-pods-'));
const children = new Children();
const load = join(root, 'bench/interception-load.ts');
let stage: Stage;
let pods: CapturePods;

before(async () => {
  if (skip !== false) return;
  const directory = join(folder, 'stage');
  mkdirSync(directory);
  // Users of pods read the bundle there.
  spawnSync('chmod', ['755', folder]);
  stage = await Stage.start({ children, cores: undefined, directory, keepAwake: false });
  pods = await CapturePods.open(stage);
  await pods.serve(load, 'serve', '1', '1');
});
after(async () => {
  await children.stopAll();
  const file = join(folder, 'stage/namespaces');
  const names = skip === false ? readFileSync(file, 'latin1').split('\n').filter(Boolean) : [];
  rmSync(folder, { recursive: true });
  const { stdout } = spawnSync('ip', ['netns', 'list'], { encoding: 'utf8' });
  for (const name of names) assert.ok(!stdout.includes(name), `${name} is left`);
});

test('a caller in a pod goes through the sidecar, which is watched as an arm is', {
  ...guarded,
}, async () => {
  const sidecar = await pods.startSidecar('tracecar');
  const order = { load: 'first byte', address: pods.serverAddress, count: 1, coldPlace: 0 };
  const answer = JSON.parse(await pods.call('tracecar', load, 'call', JSON.stringify(order)));
  assert.ok((answer as LoadAnswer).times.length > 0);
  assert.match(readFileSync(`/proc/${sidecar.child.pid}/cmdline`, 'latin1'), /--capture=redirect/);
  await pods.end(sidecar);
  // The rules lead to nobody now: without them the call would arrive.
  await assert.rejects(pods.call('tracecar', load, 'call', JSON.stringify(order)), /REFUSED/);
});

test('the lookup is measured on connections that the rules have redirected', guarded, async () => {
  const micro = join(root, 'bench/micro/original-destination.ts');
  const listener = pods.inPlaceOfProxy('fresh', micro, 'listen');
  await listener.process.says(/^open$/);
  const count = String(lookupConnections);
  const holder = await pods.hold('fresh', load, 'hold', pods.serverAddress, count, '0');
  const figures = JSON.parse(await listener.process.says(/^\{/)) as LookupFigures;
  assert.ok(figures.askNs > 0 && figures.findNs > 0 && figures.bothNs > figures.findNs);
  await pods.end(holder);
  await pods.end(listener);
});
