/**
 * Pods that have no route to the sentinel of a family, or of any: what is proven of their rules and what
 * is said of it. That a router's answer is not taken for it: test/proxy/sentinel.test.ts.
 */

import assert from 'node:assert/strict';
import { resolve } from 'node:path';
import { after, before, test } from 'node:test';
import { runInit } from '../../support/meshed-pods.ts';
import {
  makePods,
  type Pod,
  type PodNetwork,
  type PodProcess,
  users,
  whyNoPods,
} from '../../support/namespace-pods.ts';
import { skipWithout } from '../../support/skip-without.ts';

const watchRules = resolve(import.meta.dirname, 'watch-rules.ts');
const skip = skipWithout(import.meta.filename, whyNoPods());

let network: PodNetwork | undefined;
let oneFamily: Pod;
let noRoute: Pod;

before(() => {
  if (skip !== false) return;
  network = makePods(2);
  [oneFamily, noRoute] = network.pods as [Pod, Pod];
  for (const pod of network.pods) assert.equal(runInit(pod).status, 0);
});

after(() => network?.close());

function run(pod: Pod, command: string): void {
  const { status, errors } = pod.run([], command.split(' '));
  assert.equal(status, 0, errors);
}

const watch = (pod: Pod) => pod.start(users.proxy, [process.execPath, watchRules, pod.v4, pod.v6]);

/** A line that comes after `change`. */
async function saysAfter(process: PodProcess, change: () => void, pattern: RegExp): Promise<void> {
  const told = process.lines.length;
  change();
  const find = () => process.lines.slice(told).find((line) => pattern.test(line));
  await process.until(find, String(pattern));
}

test('a family without a route is left out, in one line, and the other one is still proven', {
  skip,
}, async () => {
  run(oneFamily, 'ip -6 route del default');
  const watched = watch(oneFamily);
  await watched.says(/the rules are proven/);
  const leftOut = /the redirection rules of IPv6 are not proven, .* no route .* 2001:db8::1/;
  await saysAfter(
    watched,
    () => run(oneFamily, 'nft flush chain inet tracecar outbound'),
    /not ready: the redirection rules of this pod are not in force .* 192\.0\.2\.1/,
  );
  await saysAfter(
    watched,
    () => assert.equal(runInit(oneFamily).status, 0),
    /rules of this pod are in force/,
  );
  await saysAfter(
    watched,
    () => run(oneFamily, 'ip -6 route add default via fd07::fe'),
    /the redirection rules of both families are proven again/,
  );
  const told = watched.lines.filter((line) => leftOut.test(line));
  assert.equal(told.length, 1, watched.lines.join('\n'));
});

test('a pod without any route to the sentinel is not ready and says what would help', {
  skip,
}, async () => {
  run(noRoute, 'ip route del default');
  run(noRoute, 'ip -6 route del default');
  const watched = watch(noRoute);
  await watched.says(
    /not ready: nothing proves the redirection rules of this pod, because it has no route to the sentinel 192\.0\.2\.1 or 2001:db8::1/,
  );
  await saysAfter(
    watched,
    () => run(noRoute, 'ip route add 192.0.2.1 dev eth0'),
    /the redirection rules of IPv6 are not proven/,
  );
  await watched.says(/the rules are proven/);
});
