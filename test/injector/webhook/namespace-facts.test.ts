import assert from 'node:assert/strict';
import { after, before, beforeEach, test } from 'node:test';
import { NamespaceReader } from '../../../injector/namespace-facts.ts';
import { ManualClock } from '../../../src/base/clock.ts';
import { KubeClient } from '../../../src/kube/kube-client.ts';
import type { KubeObject } from '../../../src/kube/kube-object.ts';
import { webhookLimits } from '../../../src/model/injector-limits.ts';
import { ScriptedApi } from './scripted-api.ts';

const path = '/api/v1/namespaces/shop';
const key = 'tracecar.dev/inject';
const { namespaceTrustMs } = webhookLimits;

const api = new ScriptedApi();
let client: KubeClient;
let clock: ManualClock;
let objects: Map<string, KubeObject>;
let heardAtMs: number;
let reader: NamespaceReader;

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
  clock = new ManualClock(1_000_000, 0);
  objects = new Map();
  heardAtMs = clock.now();
  api.reads.length = 0;
  reader = new NamespaceReader(client, clock, {
    objects,
    get heardAtMs() {
      return heardAtMs;
    },
  });
});

function shop(label: string | undefined, sampler = '1') {
  return {
    metadata: {
      name: 'shop',
      labels: (label === undefined ? {} : { [key]: label }) as Record<string, string>,
      annotations: { 'tracecar.dev/sampler': sampler },
    },
  };
}

async function told(isSelected: boolean): Promise<string> {
  const { labels, annotations } = await reader.factsOf('shop', isSelected);
  return `${labels[key]} ${annotations['tracecar.dev/sampler']}`;
}

test('a cache whose watch lives, and which agrees with the call, is asked alone', async () => {
  objects.set('shop', shop('enabled'));
  api.write(path, shop('enabled', '0'));
  assert.equal(await told(true), 'enabled 1');
  objects.set('shop', shop(undefined));
  assert.equal(await told(false), 'undefined 1');
  assert.deepEqual(api.reads, []);
});

test('a cache that does not know of the label yet never makes a pod plain', async () => {
  objects.set('shop', shop(undefined));
  api.write(path, shop('enabled', '0'));
  assert.equal(await told(true), 'enabled 0');
  assert.equal(await told(true), 'enabled 0');
  assert.deepEqual(api.reads, [path], 'what was read is kept for a while');
});

test('a cache that holds a label which is gone is not asked either', async () => {
  objects.set('shop', shop('enabled'));
  api.write(path, shop('disabled', '0'));
  assert.equal(await told(false), 'disabled 0');
});

test('a namespace that the cache does not hold is read', async () => {
  api.write(path, shop('enabled', '0'));
  assert.equal(await told(true), 'enabled 0');
});

test('a watch that was silent is no proof: the namespace is read, once in a while', async () => {
  objects.set('shop', shop('enabled', 'old'));
  api.write(path, shop('enabled', 'new'));
  clock.advance(namespaceTrustMs);
  assert.equal(await told(true), 'enabled old');
  clock.advance(1);
  assert.equal(await told(true), 'enabled new');
  clock.advance(namespaceTrustMs);
  assert.equal(await told(true), 'enabled new');
  assert.equal(api.reads.length, 1);
  clock.advance(1);
  assert.equal(await told(true), 'enabled new');
  assert.equal(api.reads.length, 2);
  heardAtMs = clock.now();
  assert.equal(await told(true), 'enabled old', 'a sign of life, and the cache counts again');
});

test('reviews that come together share one read', async () => {
  api.write(path, shop('enabled', '0'));
  const all = await Promise.all(Array.from({ length: 50 }, () => told(true)));
  assert.deepEqual(new Set(all), new Set(['enabled 0']));
  assert.equal(api.reads.length, 1);
});

test('a read that began before the label was written is not believed against the call', async () => {
  api.write(path, shop(undefined, 'before'));
  const earlier = told(false);
  api.beforeRead = () => {
    api.beforeRead = () => {};
    api.objects.set(path, shop(undefined, 'before'));
    // The answer of the first read is made; whoever asks later sees the label.
    setImmediate(() => api.objects.set(path, shop('enabled', 'after')));
  };
  const later = told(true);
  assert.equal(await earlier, 'undefined before');
  assert.equal(await later, 'enabled after');
});

test('when the namespace cannot be read the review fails', async () => {
  objects.set('shop', shop(undefined));
  api.remove(path);
  await assert.rejects(told(true), /NotFound/);
  clock.advance(namespaceTrustMs + 1);
  await assert.rejects(told(false), /NotFound/, 'an old cache is no way out');
});
