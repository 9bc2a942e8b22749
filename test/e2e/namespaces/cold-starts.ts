/**
 * Cold starts of one pod: rules, sidecar and application come together, and the application dials as
 * its first act, in both directions and whoever speaks first.
 */

import assert from 'node:assert/strict';
import { trafficLimits } from '../../../src/model/limits.ts';
import { runInit, startSidecar } from '../../support/meshed-pods.ts';
import { type Pod, users } from '../../support/namespace-pods.ts';

/** What `npm test` does of them, and what `npm run test:soak` does. */
export const coldStarts = Object.freeze({ some: 12, all: 200 });

/** Takes the rules of a pod away; without any it changes nothing. */
export function flush(pod: Pod): void {
  pod.run(users.init, ['nft', 'delete', 'table', 'inet', 'tracecar']);
}

/**
 * One start of `pod`, which has the application `pod`; `far` has the application `far` and no sidecar.
 * The pod's gate is its init container, as the injector sets it: it ends when the sidecar takes
 * connections.
 */
export async function startCold(pod: Pod, far: Pod): Promise<void> {
  flush(pod);
  // What it passes on has a traceparent: so it is seen that it passed.
  const tracing = { OTEL_TRACES_EXPORTER: 'otlp', OTEL_TRACES_SAMPLER: 'always_on' };
  // Warmed as users have it: what is dialled at once comes into that.
  const warmUp = [`--warm-up-ms=${trafficLimits.warmUpMs}`];
  const sidecar = startSidecar(pod, 'cold', warmUp, tracing);
  try {
    dialAtOnce(pod, far);
  } finally {
    sidecar.child.kill('SIGKILL');
    await sidecar.ended;
  }
}

function dialAtOnce(pod: Pod, far: Pod): void {
  const gate = runInit(pod, ['--await-proxy', '30']);
  assert.equal(gate.status, 0, gate.errors);
  const http = pod.get(users.app, far.v4, 8_080, '/first-act');
  assert.match(http, /^HTTP\/1\.1 200 .*far \/first-act .* 00-[0-9a-f]{32}-/s);
  assert.equal(pod.dial(users.app, far.v6, 3_306, 'x'), 'far greets\nfar heard x');
  const called = far.get(users.app, pod.v4, 8_080, '/called');
  assert.match(called, /^HTTP\/1\.1 200 .*pod \/called .* 00-[0-9a-f]{32}-/s);
}
