/**
 * The end of a pod under load on a real kernel: callers and calls of every kind, none is lost.
 */

import assert from 'node:assert/strict';
import { resolve } from 'node:path';
import { after, before, test } from 'node:test';
import { runInit, startSidecar } from '../../support/meshed-pods.ts';
import {
  makePods,
  type Pod,
  type PodNetwork,
  type PodProcess,
  users,
  whyNoPods,
} from '../../support/namespace-pods.ts';
import { skipWithout } from '../../support/skip-without.ts';

const applications = resolve(import.meta.dirname, 'applications.cjs');
const load = resolve(import.meta.dirname, 'load.cjs');
const skip = skipWithout(import.meta.filename, whyNoPods());

const kinds = ['http', 'opaque', 'socket'];
/** As an application meets it whose pod has a gentle end: more than the load still has to say. */
const drain = '--drain-seconds=20';

let network: PodNetwork | undefined;
let web: Pod;
let far: Pod;

before(async () => {
  if (skip !== false) return;
  network = makePods(2);
  [web, far] = network.pods as [Pod, Pod];
  assert.equal(runInit(web).status, 0);
  await Promise.all(
    [web, far].map((pod, index) =>
      pod.start(users.app, [process.execPath, applications, ['web', 'far'][index]!]).says(/open/),
    ),
  );
});

after(() => network?.close());

interface LoadResult {
  readonly refused: number;
  readonly done: Readonly<Record<string, number>>;
  readonly lost: readonly string[];
}

async function startLoad(pod: Pod, to: Pod): Promise<PodProcess> {
  const callers = pod.start(users.app, [process.execPath, load, to.v4, ...kinds]);
  await callers.says(/^calling/);
  return callers;
}

const result = async (callers: PodProcess) =>
  JSON.parse(await callers.says(/^\{"refused"/)) as LoadResult;

/** Resolves when each kind has come to an end `count` times more than it had. */
async function untilDone(callers: PodProcess, count: number): Promise<void> {
  const looks = () => callers.lines.filter((line) => line.startsWith('{"sofar"'));
  const ask = async () => {
    const before = looks().length;
    callers.child.kill('SIGUSR2');
    const line = await callers.until(() => looks()[before], 'a look at the load');
    return (JSON.parse(line) as { sofar: LoadResult }).sofar.done;
  };
  const first = await ask();
  for (;;) {
    const now = await ask();
    if (kinds.every((kind) => (now[kind] ?? 0) >= (first[kind] ?? 0) + count)) return;
  }
}

function assertWhole({ done, lost }: LoadResult, who: string): void {
  assert.deepEqual(lost, [], who);
  for (const kind of kinds) assert.ok((done[kind] ?? 0) > 0, `${who}: no ${kind}`);
}

for (const way of ['SIGTERM alone', '/drain, then SIGTERM']) {
  test(`${way}: callers and calls of every kind come to their end`, { skip }, async (t) => {
    const secret = 'of this pod';
    const sidecar = startSidecar(web, 'web', [drain], { TRACECAR_DRAIN_SECRET: secret });
    t.after(() => sidecar.child.kill('SIGKILL'));
    await sidecar.says(/"message":"ready"/);
    const [callers, calls] = await Promise.all([startLoad(far, web), startLoad(web, far)]);
    t.after(() => callers.child.kill('SIGKILL'));
    t.after(() => calls.child.kill('SIGKILL'));
    await Promise.all([untilDone(callers, 2), untilDone(calls, 2)]);
    if (way.startsWith('/drain')) {
      const fields = `x-tracecar-drain-secret: ${secret}\r\n`;
      assert.match(web.get(users.app, '127.0.0.1', 15_021, '/drain', fields), /^HTTP\/1\.1 200/);
      await Promise.all([untilDone(callers, 2), untilDone(calls, 2)]);
    }
    sidecar.child.kill('SIGTERM');
    // They end when nobody listens any more, and what they have begun by then is answered.
    const inbound = await result(callers);
    assertWhole(inbound, 'inbound');
    assert.ok(inbound.refused > 0);
    // The application goes on until it has nothing more to do.
    await untilDone(calls, 1);
    calls.child.kill('SIGTERM');
    assertWhole(await result(calls), 'outbound');
    assert.equal(await sidecar.ended, 0);
    const drained = sidecar.lines.find((line) => line.includes('"message":"drained"'))!;
    assert.equal(JSON.parse(drained).cut, 0, drained);
  });
}
