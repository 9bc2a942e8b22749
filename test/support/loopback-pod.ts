/**
 * A pod whose application is captured on its own loopback: whole test suites of other projects run
 * in it unchanged, and every connection of theirs to 127.0.0.1 or ::1 passes through a sidecar.
 *
 *   uid 1000 ── 127.0.0.1:p ──► 127.0.0.1:15001, the sidecar ── uid 1337 ──► 127.0.0.1:p
 *
 * The rules are those of `tracecar init --print`, less the one line that leaves loopback alone.
 */

import assert from 'node:assert/strict';
import { runInit, startSidecar } from './meshed-pods.ts';
import { type Pod, type PodProcess, users } from './namespace-pods.ts';

/** The line of rules.ts by which the application reaches itself untouched. */
const leaveLoopback = /^ *oifname "lo" return\n/gm;
/** The sidecar's own pages stay reachable. */
const ownPorts = '15000,15020,15021,15090';

/** Captures the loopback of a pod; resolves when its sidecar is ready. */
export async function captureLoopback(pod: Pod): Promise<PodProcess> {
  const printed = runInit(pod, ['--print', `--skip-outbound-ports=${ownPorts}`]);
  assert.equal(printed.status, 0, printed.errors);
  assert.equal(printed.output.match(leaveLoopback)?.length, 1, 'one line leaves loopback alone');
  const rules = printed.output.replace(leaveLoopback, '');
  const loaded = pod.run(users.init, ['nft', '-f', '-'], { input: rules });
  assert.equal(loaded.status, 0, loaded.errors);
  const sidecar = startSidecar(pod, 'suite');
  await sidecar.says(/"message":"ready"/);
  return sidecar;
}
