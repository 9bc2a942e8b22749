/**
 * Two hundred cold starts in which the application dials as its first act: nothing is lost.
 */

import { resolve } from 'node:path';
import { after, before, test } from 'node:test';
import { coldStarts, startCold } from '../e2e/namespaces/cold-starts.ts';
import {
  makePods,
  type Pod,
  type PodNetwork,
  users,
  whyNoPods,
} from '../support/namespace-pods.ts';
import { skipWithout } from '../support/skip-without.ts';

const applications = resolve(import.meta.dirname, '../e2e/namespaces/applications.cjs');
const skip = skipWithout(import.meta.filename, whyNoPods());

let network: PodNetwork | undefined;
let pod: Pod;
let far: Pod;

before(async () => {
  if (skip !== false) return;
  network = makePods(2);
  [pod, far] = network.pods as [Pod, Pod];
  const names = ['pod', 'far'];
  await Promise.all(
    [pod, far].map((each, index) =>
      each.start(users.app, [process.execPath, applications, names[index]!]).says(/open/),
    ),
  );
});

after(() => network?.close());

test(`${coldStarts.all} cold starts lose nothing`, { skip }, async (t) => {
  for (let count = 1; count <= coldStarts.all; count += 1) {
    await startCold(pod, far);
    if (count % 50 === 0) t.diagnostic(`${count} starts`);
  }
});
