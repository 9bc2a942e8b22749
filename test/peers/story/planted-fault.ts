/**
 * The second half of the story: a fault three hops deep that only the new version meets, twenty of 2000
 * requests, and what is left of those twenty where spans are kept.
 *
 * It is planted the same way in both arms, beside unchanged applications: reviews v2 asks another path of
 * ratings, and ratings is started with fault.cjs.
 */

import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { setTimeout as wait } from 'node:timers/promises';
import type { Cluster } from '../cluster/cluster.ts';
import type { Jaeger, JaegerTrace } from '../jaeger.ts';
import { deployments } from './shop.ts';
import { type ShopAddress, type ShopAnswer, ShopLoad } from './shop-load.ts';
import { isWhole, requestIdOf, tracesOf } from './shop-traces.ts';
import type { KeptFailures } from './verdict.ts';

/** Requests of the measured part; the fault counts on reviews v2 getting 720 of them. */
export const faultRequests = 2_000;
const concurrency = 16;
const warmUpRequests = 400;

/** Deploys it and waits until every Service answers again. `ratings` is what reviews asks now. */
export async function plantFault(
  cluster: Cluster,
  namespace: string,
  ratings: string,
): Promise<void> {
  const text = readFileSync(join(import.meta.dirname, 'fault.cjs'), 'utf8');
  const metadata = { name: 'fault', namespace };
  const data = { 'fault.cjs': text };
  await cluster.apply([{ apiVersion: 'v1', kind: 'ConfigMap', metadata, data }]);
  const patch = async (name: string, spec: object) => {
    const change = JSON.stringify({ spec: { template: { spec } } });
    await cluster.kubectl(['-n', namespace, 'patch', 'deployment', name, '-p', change]);
  };
  await patch('ratings', {
    volumes: [{ name: 'fault', configMap: { name: 'fault' } }],
    containers: [
      {
        name: 'ratings',
        args: ['--require', '/fault/fault.cjs', '/app/ratings.cjs'],
        volumeMounts: [{ name: 'fault', mountPath: '/fault' }],
      },
    ],
  });
  const env = [{ name: 'RATINGS_URL', value: `${ratings}/v2` }];
  await patch('reviews-v2', { containers: [{ name: 'reviews', env }] });
  // The other two get the new sampling with new pods.
  for (const name of ['web', 'reviews-v1']) {
    await cluster.kubectl(['-n', namespace, 'rollout', 'restart', 'deployment', name]);
  }
  await Promise.all(deployments.map((name) => cluster.waitForDeployment(namespace, name, 90_000)));
  const host = (name: string) => `${name}.${namespace}.svc.cluster.local`;
  await Promise.all([
    cluster.untilListening(host('web'), 443),
    ...['reviews', 'reviews-v1', 'reviews-v2', 'ratings'].map((name) =>
      cluster.untilListening(host(name), 9080),
    ),
  ]);
}

/** Sends the requests and asks Jaeger what there is, until all is there or nothing new comes. */
export async function meetFault(
  jaeger: Jaeger,
  address: ShopAddress,
  prefix: string,
): Promise<KeptFailures> {
  const warmUp = new ShopLoad(address, prefix);
  await warmUp.send(warmUpRequests, concurrency);
  warmUp.close();
  const sinceMs = Date.now();
  const load = new ShopLoad(address, `fault-${prefix}`);
  const answers = await load.send(faultRequests, concurrency);
  load.close();
  const failed = answers.filter(({ problem }) => problem !== '');
  const ids = new Set(failed.map(({ id }) => id));
  const found = await settledTraces(jaeger, ids, sinceMs);
  const every = new Set(answers.map(({ id }) => id));
  const all = await tracesOf(jaeger, every, sinceMs);
  return { ...count(found), ...told(answers, failed), others: all.length - found.traces.length };
}

function told(answers: readonly ShopAnswer[], failed: readonly ShopAnswer[]) {
  return {
    requests: answers.length,
    failed: failed.length,
    surprises: failed
      .filter(({ problem }) => !/^status 502 .*ratings answered 500/.test(problem))
      .map(({ id, problem }) => `${id}: ${problem}`),
  };
}

interface Found {
  readonly traces: readonly JaegerTrace[];
  readonly byRequest: ReadonlyMap<string, readonly JaegerTrace[]>;
  readonly whole: readonly JaegerTrace[];
}

async function settledTraces(
  jaeger: Jaeger,
  ids: ReadonlySet<string>,
  sinceMs: number,
  patienceMs = 6_000,
): Promise<Found> {
  let known = -1;
  let lastNews = performance.now();
  for (;;) {
    const traces = await tracesOf(jaeger, ids, sinceMs);
    const byRequest = new Map<string, JaegerTrace[]>();
    for (const trace of traces) {
      for (const id of new Set(trace.spans.map(requestIdOf))) {
        const own = byRequest.get(id) ?? [];
        byRequest.set(id, own);
        own.push(trace);
      }
    }
    const whole = [...byRequest]
      .filter(([id, own]) => ids.has(id) && own.length === 1 && isWhole(own[0]!))
      .map(([, own]) => own[0]!);
    const found = { traces, byRequest, whole };
    if (whole.length === ids.size) return found;
    const spans = traces.reduce((sum, trace) => sum + trace.spans.length, 0);
    if (spans > known) lastNews = performance.now();
    known = spans;
    if (performance.now() - lastNews > patienceMs) return found;
    await wait(500);
  }
}

function count({ byRequest, whole }: Found) {
  const named: Record<string, number> = {};
  for (const { spans } of whole) {
    const call = spans.find(({ service, kind }) => service === 'web' && kind === 3);
    const text = ['rule.origin', 'rule', 'subset', 'weight']
      .map((name) => call?.attributes[`tracecar.${name}`] ?? '-')
      .join(' ');
    named[text] = (named[text] ?? 0) + 1;
  }
  return { kept: byRequest.size, whole: whole.length, named, example: whole[0]?.traceId };
}
