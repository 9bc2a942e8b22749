/**
 * Two nginx that send everything to each other, with every header that they were sent: without
 * sidecars this goes on until something gives out, with them it is cut.
 */

import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';
import { mesh } from '../../support/meshed-pods.ts';
import {
  makePods,
  type Pod,
  type PodNetwork,
  type PodProcess,
  users,
  whyNoPods,
} from '../../support/namespace-pods.ts';
import { Daemons, ports, whyNoDaemons } from '../../support/real-programs.ts';
import { skipWithout } from '../../support/skip-without.ts';

const skip = skipWithout(import.meta.filename, whyNoPods() ?? whyNoDaemons());

/** Each side has one sidecar and passes it twice a round; a loop is known by the seventh round. */
const hopsMax = 28;

let network: PodNetwork | undefined;
const daemons: Daemons[] = [];
const sidecars: PodProcess[] = [];

before(async () => {
  if (skip !== false) return;
  network = makePods(3);
  const [one, other] = network.pods as [Pod, Pod];
  for (const [from, to] of [
    [one, other],
    [other, one],
  ] as const) {
    const daemon = new Daemons(from, [from.v4]);
    daemons.push(daemon);
    await daemon.nginx(`location /loop { proxy_pass http://${to.v4}:${ports.http}; }`);
    sidecars.push(await mesh(from, 'loop'));
  }
});

after(async () => {
  await network?.close();
  for (const daemon of daemons) daemon.remove();
});

test('a loop through applications that pass on every header ends with 508', { skip }, async () => {
  const [one, , outsider] = network!.pods as [Pod, Pod, Pod];
  const answer = outsider.get(users.app, one.v4, ports.http, '/loop');
  assert.match(answer, /^HTTP\/1\.1 508 /);
  const about = (sidecar: PodProcess) =>
    sidecar.lines.filter((line) => line.includes('"path":"/loop"'));
  // The exchange that came first ends last.
  await sidecars[0]!.until(
    () => about(sidecars[0]!).find((line) => line.includes(`"peer":"${outsider.v4}"`)),
    'the record of the first request',
  );
  const hops = sidecars.reduce((sum, sidecar) => sum + about(sidecar).length, 0);
  assert.ok(hops > 4, 'the request came round');
  assert.ok(hops <= hopsMax, `${hops} hops`);
});
