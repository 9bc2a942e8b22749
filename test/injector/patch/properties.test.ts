/**
 * Laws of the patch over arbitrary pods: it applies, twice is once, the order and the rights hold.
 */

import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import fastJsonPatch from 'fast-json-patch';
import { decide } from '../../../injector/decide.ts';
import { diff } from '../../../injector/json-patch.ts';
import { injectPod } from '../../../injector/patch.ts';
import { withoutInjection } from '../../../injector/patch-strip.ts';
import { type Pod, readPod } from '../../../injector/pod.ts';
import { arbitraryPod, identity, meshed, settings } from './pod-fixtures.ts';
import { breaksBaseline, breaksRestricted } from './pod-security.ts';

const propagating = { ...settings, identity, propagation: 'node' as const };
const inject = (pod: Pod) => injectPod(pod, meshed, propagating);
const isHarmless = (pod: Pod) => !JSON.stringify(pod).includes('__proto__');

/** Applies without fast-json-patch's ban of `__proto__`, which it makes for its own sake. */
function apply(pod: Pod, patch: ReturnType<typeof diff>): unknown {
  return fastJsonPatch.applyPatch(structuredClone(pod), structuredClone(patch), true, true, false)
    .newDocument;
}

test('the patch applied by another implementation gives the injected pod', () => {
  fc.assert(
    fc.property(arbitraryPod.filter(isHarmless), (pod) => {
      const after = inject(pod);
      assert.deepEqual(apply(pod, diff(pod, after)), after);
    }),
    { numRuns: 500 },
  );
});

test('injecting twice is injecting once', () => {
  fc.assert(
    fc.property(arbitraryPod, (pod) => {
      const once = inject(pod);
      assert.deepEqual(inject(once), once);
      assert.deepEqual(diff(once, inject(once)), []);
    }),
    { numRuns: 1000 },
  );
});

test('an injection of other settings is replaced as a whole', () => {
  fc.assert(
    fc.property(arbitraryPod, (pod) => {
      const other = { ...settings, image: 'old', version: '0.0.1', propagation: 'node' as const };
      assert.deepEqual(inject(injectPod(pod, meshed, other)), inject(pod));
    }),
    { numRuns: 500 },
  );
});

test('sidecar, init, then the init containers of the user', () => {
  fc.assert(
    fc.property(arbitraryPod, (pod) => {
      const names = (inject(pod).spec.initContainers ?? []).map(({ name }) => name);
      const users = (withoutInjection(pod).spec.initContainers ?? []).map(({ name }) => name);
      assert.deepEqual(names, ['tracecar-proxy', 'tracecar-init', ...users]);
    }),
  );
});

test('the sidecar keeps Pod Security restricted, and init breaks baseline by NET_ADMIN alone', () => {
  fc.assert(
    fc.property(arbitraryPod, (pod) => {
      const [sidecar, init] = inject(pod).spec.initContainers ?? [];
      assert.deepEqual(breaksRestricted(sidecar), []);
      assert.deepEqual(breaksBaseline(init), ['NET_ADMIN']);
    }),
  );
});

test('under any limits init and sidecar ask for no more than they may have', () => {
  const cpu = fc.oneof(fc.integer({ min: 1, max: 64_000 }), fc.integer({ min: 1, max: 200 }));
  const memory = fc.oneof(
    fc.integer({ min: 64, max: 200 }).map((size) => `${size}Mi`),
    fc.integer({ min: 68, max: 200 }).map((size) => `${size}M`),
  );
  fc.assert(
    fc.property(cpu, fc.option(cpu), memory, (limit, request, size) => {
      const annotations = {
        'tracecar.dev/proxy-cpu-limit': `${limit}m`,
        'tracecar.dev/proxy-memory': size,
        ...(request === null ? {} : { 'tracecar.dev/proxy-cpu': `${request}m` }),
      };
      const pod: Pod = { metadata: { annotations }, spec: { containers: [{ name: 'app' }] } };
      const decision = decide(pod, meshed, settings);
      assert.equal(decision.refuse, (request ?? 0) > limit);
      if (decision.refuse) return;
      const [sidecar, init] = injectPod(pod, meshed, settings).spec.initContainers ?? [];
      const of = (container: unknown) => (container as { resources: Resources }).resources;
      assert.equal(milliOf(of(sidecar).limits.cpu), limit);
      for (const container of [sidecar, init]) {
        const { limits, requests } = of(container);
        assert.equal(limits.cpu, of(sidecar).limits.cpu);
        assert.ok(milliOf(requests.cpu) <= limit, `${requests.cpu} of ${limit}m`);
        assert.ok(bytesOf(requests.memory) <= bytesOf(limits.memory));
        assert.ok(bytesOf(limits.memory) <= bytesOf(of(sidecar).limits.memory));
      }
    }),
    { numRuns: 500 },
  );
});

interface Resources {
  readonly requests: { readonly cpu: string; readonly memory: string };
  readonly limits: { readonly cpu: string; readonly memory: string };
}

const milliOf = (cpu: string) => Number.parseInt(cpu, 10) * (cpu.endsWith('m') ? 1 : 1000);

function bytesOf(memory: string): number {
  const units: Record<string, number> = { Mi: 2 ** 20, Gi: 2 ** 30, M: 1e6, G: 1e9 };
  return Number.parseInt(memory, 10) * units[memory.replace(/^\d+/, '')]!;
}

test('what was injected is JSON and still a pod', () => {
  fc.assert(
    fc.property(arbitraryPod, (pod) => {
      const after = inject(pod);
      assert.deepEqual(JSON.parse(JSON.stringify(after)), after);
      assert.ok('pod' in readPod(after));
    }),
  );
});

test('nobody but the sidecar mounts the token and the key of its identity', () => {
  fc.assert(
    fc.property(arbitraryPod, (pod) => {
      const { containers, initContainers } = inject(pod).spec;
      const others = [...(containers ?? []), ...(initContainers ?? [])].filter(
        ({ name }) => name !== 'tracecar-proxy',
      );
      const mounted = others.flatMap((each) => (each.volumeMounts ?? []).map(({ name }) => name));
      assert.ok(!mounted.includes('tracecar-token') && !mounted.includes('tracecar-identity'));
    }),
  );
});

test('the given pod is not changed', () => {
  fc.assert(
    fc.property(arbitraryPod, (pod) => {
      const before = structuredClone(pod);
      inject(pod);
      assert.deepEqual(pod, before);
    }),
  );
});

test('the order of labels and annotations does not matter', () => {
  const maps = ['a', 'b', 'c'].map((key) => [`resource.opentelemetry.io/${key}`, key] as const);
  const podOf = (pairs: typeof maps) => {
    const map = Object.fromEntries(pairs);
    return inject({ metadata: { labels: map, annotations: map }, spec: {} });
  };
  assert.deepEqual(podOf(maps), podOf(maps.toReversed()));
});

test('any two JSON values: the patch leads from one to the other', () => {
  const json = fc.jsonValue({ maxDepth: 4 }).map((value) => JSON.parse(JSON.stringify(value)));
  const pair = fc.tuple(json, json).filter((each) => !JSON.stringify(each).includes('__proto__'));
  fc.assert(
    fc.property(pair, ([before, after]) => {
      const patch = diff(before, after);
      const result = fastJsonPatch.applyPatch(before, structuredClone(patch), true, false);
      assert.deepEqual(result.newDocument, after);
    }),
    { numRuns: 1000 },
  );
});
