/**
 * `tracecar ca status` of an authority whose issuer comes from outside: who has which roots.
 */

import assert from 'node:assert/strict';
import { test } from 'node:test';
import { seededRandom } from '../../src/base/random.ts';
import { printReports } from '../../src/identity/sidecar-reports.ts';
import type { StateStore } from '../../src/identity/state-store.ts';
import { rotateRoot, showStatus } from '../../src/main/ca-actions.ts';
import { readCaSettings } from '../../src/main/ca-settings.ts';

const nowMs = Date.UTC(2026, 10, 26);
const sidecar = (instance: string, bundleHash: string, leftMs = 60_000) => ({
  ...{ id: 'spiffe://cluster.local/ns/default/sa/web', instance, bundleHash, rootHash: 'r' },
  ...{ issuedMs: nowMs - 1, notAfterMs: nowMs + leftMs },
});
const sidecars = [sidecar('web-1', 'both'), sidecar('web-2', 'old'), sidecar('gone', 'old', -1)];
const store: StateStore = {
  place: '/state',
  read: async (name) =>
    name === 'authority'
      ? undefined
      : { text: printReports({ sidecars, overfullUntilMs: 0 }), version: '1' },
  write: async () => assert.fail('nothing is written'),
};

function partsOf(args: readonly string[], said: string[]) {
  return {
    settings: readCaSettings(args, {}),
    ...{ store, wallTime: () => nowMs, random: seededRandom(1) },
    out: (text: string) => void said.push(text),
    err: (text: string) => void said.push(text),
  };
}

test('with an outside issuer the sidecars are counted by the roots that they have', async () => {
  const said: string[] = [];
  assert.equal(await showStatus(partsOf(['status', '--state', '/state'], said)), 0);
  assert.match(said[0]!, /^issuer {8}from outside/);
  assert.match(said[0]!, /both: 1\n.*old: 1\nsidecars {6}2\n/);
  assert.doesNotMatch(said[0]!, /gone/);
  await showStatus(partsOf(['status', '--state', '/state', '--output', 'json'], said));
  assert.deepEqual(JSON.parse(said[1]!).bundles, { both: 1, old: 1 });
});

test('its roots are not rotated here, and who tries is not told to make another authority', async () => {
  await assert.rejects(
    rotateRoot(partsOf(['rotate', '--state', '/state'], [])),
    /unless its issuer comes from outside.*`tracecar ca status` says/,
  );
});
