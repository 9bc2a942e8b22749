/**
 * The authority's state in a cluster: what two authorities write at once, how much fits, what is repaired.
 */

import assert from 'node:assert/strict';
import { after, before, beforeEach, test } from 'node:test';
import { systemWallTime } from '../../src/base/clock.ts';
import { systemRandom } from '../../src/base/random.ts';
import { printReports, readReports } from '../../src/identity/sidecar-reports.ts';
import { KubeClient } from '../../src/kube/kube-client.ts';
import { BundlePublisher, KubeStateStore } from '../../src/main/ca-kube-store.ts';
import { ownMaterial } from '../../src/main/ca-material.ts';
import { ScriptedApi, type StoredObject } from '../injector/webhook/scripted-api.ts';

const namespace = 'tracecar-system';
const collection = `/api/v1/namespaces/${namespace}`;
const secretPath = `${collection}/secrets/tracecar-ca-state`;
const bundlePath = `${collection}/configmaps/tracecar-trust-bundle`;
const api = new ScriptedApi();
let client: KubeClient;

before(async () => {
  await api.start();
  const server = `http://127.0.0.1:${api.port}`;
  client = new KubeClient({ server, tokenFile: undefined, caFile: undefined, userAgent: 'test' });
});

after(async () => {
  await client.close();
  await api.close();
});

beforeEach(() => {
  api.objects.clear();
  api.writes.length = 0;
});

const newStore = () => new KubeStateStore(client, namespace);
const terms = {
  trustDomain: undefined,
  mayCreate: true,
  leafLifeMs: 60_000,
  wallTime: systemWallTime,
  random: systemRandom,
};

test('two authorities that start at once have one root', async () => {
  const made = await Promise.all([ownMaterial(newStore(), terms), ownMaterial(newStore(), terms)]);
  const hashes = made.map((each) => ('problem' in each ? each.problem : each.rootHash));
  assert.equal(hashes[0], hashes[1]);
  assert.equal(api.objects.get(secretPath)?.kind, 'Secret');
});

test('who wrote meanwhile wins, and nothing is replaced', async () => {
  const store = newStore();
  assert.equal(await store.read('authority'), undefined);
  assert.equal(await store.write('authority', 'one', undefined), true);
  assert.equal(await store.write('authority', 'two', undefined), false, 'there is one already');
  const first = await store.read('authority');
  assert.equal(first?.text, 'one');
  assert.equal(await store.write('authority', 'three', first?.version), true);
  assert.equal(await store.write('authority', 'four', first?.version), false, 'it has changed');
  assert.equal((await store.read('authority'))?.text, 'three');
  api.remove(secretPath);
  assert.equal(await store.write('authority', 'five', first?.version), false, 'it is gone');
});

test('the reports of 20 000 sidecars fit into one object', async () => {
  const store = newStore();
  const hex = (seed: number) => seed.toString(16).padStart(64, '0');
  const sidecars = Array.from({ length: 20_000 }, (_none, at) => ({
    id: `spiffe://cluster.local/ns/team-${at % 200}/sa/service-${at % 1_000}`,
    instance: `service-${at % 1_000}-6c5f8d7b${(at * 7919) % 100_000}-${at.toString(36)}`,
    bundleHash: hex(1),
    rootHash: hex(2),
    issuedMs: 1_790_000_000_000 + at * 1_013,
    notAfterMs: 1_790_086_400_000 + at * 1_013,
  }));
  const text = printReports({ sidecars, overfullUntilMs: 0 });
  assert.ok(text.length > 4 * 2 ** 20, `${text.length} bytes`);
  assert.equal(await store.write('sidecars', text, undefined), true);
  const stored = api.objects.get(`${collection}/configmaps/tracecar-ca-sidecars`);
  const bytes = JSON.stringify(stored).length;
  assert.ok(bytes < 1_000_000, `${bytes} bytes are stored`);
  assert.equal(readReports((await store.read('sidecars'))!.text)?.sidecars.length, 20_000);
});

test('a list of reports that somebody broke is no list, and can be written anew', async () => {
  const store = newStore();
  const path = `${collection}/configmaps/tracecar-ca-sidecars`;
  const metadata = { name: 'tracecar-ca-sidecars' };
  api.write(path, { metadata, binaryData: { 'sidecars.json.gz': 'AAAA' } });
  const found = await store.read('sidecars');
  assert.equal(readReports(found!.text), undefined);
  const list = printReports({ sidecars: [], overfullUntilMs: 0 });
  assert.equal(await store.write('sidecars', list, found!.version), true);
  assert.deepEqual(readReports((await store.read('sidecars'))!.text)?.sidecars, []);
});

test('the roots are published once, and again when somebody takes or changes them', async () => {
  let nowMs = 0;
  const publisher = new BundlePublisher(client, namespace, () => nowMs);
  const published = () =>
    (api.objects.get(bundlePath)!.data as Record<string, string>)['roots.pem'];
  await publisher.keep('A');
  assert.equal(published(), 'A');
  await publisher.keep('A');
  assert.deepEqual(api.writes, [`POST ${collection}/configmaps`]);
  await publisher.keep('A B');
  assert.equal(published(), 'A B');
  api.write(bundlePath, { ...(api.objects.get(bundlePath) as StoredObject), data: {} });
  nowMs += 60_000;
  await publisher.keep('A B');
  assert.equal(published(), 'A B');
  api.remove(bundlePath);
  nowMs += 60_000;
  await publisher.keep('A B');
  assert.equal(published(), 'A B');
});
