import assert from 'node:assert/strict';
import { test } from 'node:test';
import {
  configurationName,
  configurationsPath,
  ServingCertificates,
  secretName,
} from '../../../injector/certificates.ts';
import type { TlsPair } from '../../../injector/webhook.ts';
import { ManualClock } from '../../../src/base/clock.ts';
import { seededRandom } from '../../../src/base/random.ts';
import { issueServingCertificate, pairProblem } from '../../../src/identity/serving-certificate.ts';
import { KubeClient } from '../../../src/kube/kube-client.ts';
import { bundlesOf, configurationOf, ScriptedApi } from './scripted-api.ts';

const dayMs = 86_400_000;
const names = ['tracecar-injector.tracecar-system.svc'];
const secretPath = `/api/v1/namespaces/tracecar-system/secrets/${secretName}`;
const configurationPath = `${configurationsPath}/${configurationName}`;

async function newApi() {
  const api = new ScriptedApi();
  await api.start();
  api.write(configurationPath, configurationOf());
  return api;
}

function replica(api: ScriptedApi, clock = new ManualClock(0, Date.now())) {
  const client = new KubeClient({
    server: `http://127.0.0.1:${api.port}`,
    tokenFile: undefined,
    caFile: undefined,
    userAgent: 'test',
  });
  const pairs: TlsPair[] = [];
  const said: string[] = [];
  const certificates = new ServingCertificates({
    client,
    clock,
    // Checks come when the test asks.
    wakeUps: { after: () => () => {} },
    random: seededRandom(1),
    namespace: 'tracecar-system',
    names,
    log: (_level, message) => void said.push(message),
    onPair: (pair) => void pairs.push(pair),
    onPublished: () => {},
  });
  const stop = async () => {
    await certificates.stop();
    await client.close();
  };
  return { certificates, pairs, said, stop };
}

function dataOf(api: ScriptedApi): Record<string, string> {
  const data = api.objects.get(secretPath)?.data as Record<string, string>;
  return Object.fromEntries(
    Object.entries(data).map(([key, value]) => [key, Buffer.from(value, 'base64').toString()]),
  );
}

test('the first replica stores a certificate and publishes its authority in every webhook', async () => {
  const api = await newApi();
  const one = replica(api);
  await one.certificates.check();
  assert.equal(one.certificates.isLoaded, true);
  assert.equal(one.certificates.isPublished, true);
  assert.equal(one.certificates.trouble, '');
  const data = dataOf(api);
  assert.deepEqual(Object.keys(data).sort(), ['ca.crt', 'ca.key', 'tls.crt', 'tls.key']);
  assert.equal(api.objects.get(secretPath)?.type, 'kubernetes.io/tls');
  assert.deepEqual(bundlesOf(api.objects.get(configurationPath)), [data['ca.crt'], data['ca.crt']]);
  assert.equal(one.pairs[0]?.cert, data['tls.crt']);
  const writes = api.writes.length;
  await one.certificates.check();
  assert.equal(api.writes.length, writes, 'a second look changes nothing');
  assert.equal(one.pairs.length, 1);
  await one.stop();
  await api.close();
});

test('replicas that start together serve with one certificate: 409 means another one won', async () => {
  const api = await newApi();
  const replicas = [replica(api), replica(api), replica(api)];
  await Promise.all(replicas.map(({ certificates }) => certificates.check()));
  const served = new Set(replicas.map(({ pairs }) => pairs.at(-1)?.cert));
  assert.equal(served.size, 1);
  assert.equal(served.has(dataOf(api)['tls.crt']), true);
  for (const { certificates } of replicas) assert.equal(certificates.isPublished, true);
  await Promise.all(replicas.map(({ stop }) => stop()));
  await api.close();
});

test('whoever notices first renews at 2/3 of the life, and the others follow', async () => {
  const api = await newApi();
  const clock = new ManualClock(0, Date.now());
  const [one, two] = [replica(api, clock), replica(api, clock)];
  await one.certificates.check();
  await two.certificates.check();
  const original = dataOf(api);
  clock.advance(19 * dayMs);
  await one.certificates.check();
  assert.equal(dataOf(api)['tls.crt'], original['tls.crt']);
  clock.advance(2 * dayMs);
  await Promise.all([one.certificates.check(), two.certificates.check()]);
  const renewed = dataOf(api);
  assert.notEqual(renewed['tls.crt'], original['tls.crt']);
  assert.equal(renewed['ca.crt'], original['ca.crt']);
  assert.equal(one.pairs.at(-1)?.cert, renewed['tls.crt']);
  assert.equal(two.pairs.at(-1)?.cert, renewed['tls.crt']);
  const now = clock.epochMs + clock.now();
  assert.equal(pairProblem(renewed['tls.crt']!, renewed['tls.key']!, now), undefined);
  await Promise.all([one.stop(), two.stop()]);
  await api.close();
});

test('a bundle that was changed or removed is healed, and a conflict is tried again', async () => {
  const api = await newApi();
  const one = replica(api);
  await one.certificates.check();
  api.write(configurationPath, configurationOf());
  let isFaster = true;
  api.beforeWrite = (call) => {
    if (!isFaster || !call.startsWith('PATCH')) return;
    isFaster = false;
    api.write(configurationPath, configurationOf({ changed: 'by somebody in between' }));
  };
  await one.certificates.check();
  assert.equal(one.certificates.isPublished, true);
  const configuration = api.objects.get(configurationPath);
  assert.equal(configuration?.metadata.annotations?.changed, 'by somebody in between');
  assert.equal(bundlesOf(configuration)[0], dataOf(api)['ca.crt']);
  await one.stop();
  await api.close();
});

test('without a configuration nothing is published and the command that makes it is named', async () => {
  const api = await newApi();
  api.remove(configurationPath);
  const one = replica(api);
  await one.certificates.check();
  assert.equal(one.certificates.isLoaded, true);
  assert.equal(one.certificates.isPublished, false);
  assert.match(one.certificates.trouble, /tracecar install \| kubectl apply/);
  await one.certificates.check();
  const complaints = one.said.filter((line) => line.includes('tracecar install'));
  assert.equal(complaints.length, 1, 'the same trouble is logged once');
  api.write(configurationPath, configurationOf());
  await one.certificates.check();
  assert.equal(one.certificates.isPublished, true);
  assert.equal(one.certificates.trouble, '');
  await one.stop();
  await api.close();
});

test('a Secret that somebody else fills is served with and never written', async () => {
  const api = await newApi();
  const foreign = issueServingCertificate({ dnsNames: names, now: Date.now() });
  const base64 = (text: string) => Buffer.from(text).toString('base64');
  api.write(secretPath, {
    metadata: { name: secretName },
    data: {
      'ca.crt': base64(foreign.caPem),
      'tls.crt': base64(foreign.certPem),
      'tls.key': base64(foreign.keyPem),
    },
  });
  api.write(
    configurationPath,
    configurationOf({ 'cert-manager.io/inject-ca-from': 'tracecar-system/tracecar-injector' }),
  );
  const one = replica(api);
  await one.certificates.check();
  assert.equal(one.pairs[0]?.cert, foreign.certPem);
  assert.equal(one.certificates.isPublished, true);
  assert.deepEqual(api.writes, []);
  await one.stop();
  await api.close();
});

test('a Secret whose contents were destroyed is filled again and keeps its labels', async () => {
  const api = await newApi();
  const one = replica(api);
  await one.certificates.check();
  api.write(secretPath, { metadata: { name: secretName, labels: { kept: 'yes' } }, data: {} });
  await one.certificates.check();
  assert.equal(one.pairs.length, 2);
  assert.equal(api.objects.get(secretPath)?.metadata.labels?.kept, 'yes');
  assert.equal(bundlesOf(api.objects.get(configurationPath))[1], dataOf(api)['ca.crt']);
  await one.stop();
  await api.close();
});
