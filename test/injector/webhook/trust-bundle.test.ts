/**
 * The roots of the mesh on their way into new pods: awaited, followed, and never lost.
 */

import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';
import { TrustBundleWatch } from '../../../injector/trust-bundle-watch.ts';
import { systemWakeUps } from '../../../src/base/deadlines.ts';
import { systemRandom } from '../../../src/base/random.ts';
import { readTrustBundle } from '../../../src/identity/trust-bundle.ts';
import { KubeClient } from '../../../src/kube/kube-client.ts';
import { makeRoot } from '../../support/mesh-material.ts';
import { ScriptedApi } from './scripted-api.ts';

const path = '/api/v1/namespaces/tracecar-system/configmaps/tracecar-trust-bundle';
const metadata = { name: 'tracecar-trust-bundle' };
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

const pemOf = (text: string): string => {
  const bundle = readTrustBundle(text);
  assert.ok('pem' in bundle);
  return bundle.pem;
};

test('roots are awaited and followed; what cannot be read or is gone leaves the last good ones', async () => {
  const lines: string[] = [];
  const waiting: { text: string; found: () => void }[] = [];
  const line = (text: string): Promise<void> =>
    new Promise((found) => {
      if (lines.some((each) => each.includes(text))) found();
      else waiting.push({ text, found });
    });
  let known = 0;
  const watch = new TrustBundleWatch({
    client,
    namespace: 'tracecar-system',
    wakeUps: systemWakeUps,
    random: systemRandom,
    log: (_level, message) => {
      lines.push(message);
      for (const each of waiting) if (message.includes(each.text)) each.found();
    },
    onKnown: () => {
      known += 1;
    },
  });
  watch.start();
  await line('it is not there yet; pods that want an identity wait for it');
  assert.equal(watch.roots, '');

  const [first, second] = [makeRoot().roots, makeRoot().roots];
  api.write(path, { metadata, data: { 'roots.pem': first } });
  await line('new pods trust one root');
  assert.equal(watch.roots, pemOf(first));
  assert.equal(watch.trouble, '');

  api.write(path, { metadata, data: { 'roots.pem': 'none' } });
  await line('roots.pem: it holds no certificate; new pods get the roots that were read before');
  assert.equal(watch.roots, pemOf(first));

  api.write(path, { metadata, data: { 'roots.pem': first + second } });
  await line('new pods trust 2 roots');
  assert.equal(watch.roots, pemOf(first + second));

  api.remove(path);
  await line('it is gone; new pods get the roots that were read before');
  assert.equal(watch.roots, pemOf(first + second));
  assert.equal(known, 1);
  await watch.stop();
});
