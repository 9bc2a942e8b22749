/**
 * How long the webhook takes for a review when 100 pods are created at the same moment.
 *
 * Pods are created as a dry run, which asks the webhook and keeps nothing. Two times of each review,
 * from Jaeger: the webhook's own span, from its request to its answer, and the API server's around the
 * call, in which it also waits for itself: it shares the cores with the webhook, etcd and the kubelet.
 */

import { readFileSync } from 'node:fs';
import { Agent, request } from 'node:https';
import { setTimeout as wait } from 'node:timers/promises';
import type { Cluster } from '../cluster/cluster.ts';
import type { Jaeger, JaegerSpan } from '../jaeger.ts';

export interface ReviewTimes {
  readonly reviews: number;
  readonly parallel: number;
  /** In the webhook. */
  readonly p99Ms: number;
  /** In the API server. */
  readonly callerP99Ms: number;
}

const namespace = 'reviews-timed';
/** Before anything is measured: connections are open, code is compiled. */
const warmUpRounds = 5;
const patienceMs = 20_000;

/** The mesh must be installed; `rounds` times 100 reviews are counted. */
export async function measureReviews(
  cluster: Cluster,
  jaeger: Jaeger,
  rounds: number,
  parallel = 100,
): Promise<ReviewTimes> {
  await cluster.kubectl(['create', 'namespace', namespace]);
  await cluster.kubectl(['annotate', 'namespace', namespace, 'tracecar.dev/inject=enabled']);
  // Controllers make it, and a pod needs it; the label is what the webhook is called by.
  const account = `/api/v1/namespaces/${namespace}/serviceaccounts/default`;
  await cluster.waitFor(account, Boolean, 20_000);
  const isMirrored = (object: { metadata: { labels?: object } } | undefined) =>
    object !== undefined && 'tracecar.dev/inject' in (object.metadata.labels ?? {});
  await cluster.waitFor(`/api/v1/namespaces/${namespace}`, isMirrored as never, 20_000);
  const caller = callerOf(cluster);
  const send = async (prefix: string, count: number) => {
    for (let round = 0; round < count; round++) {
      const names = Array.from({ length: parallel }, (_, at) => `${prefix}-${round}-${at}`);
      await Promise.all(names.map((name) => caller.create(name)));
    }
  };
  await send('warm', warmUpRounds);
  await send('timed', rounds);
  caller.close();
  const times = await timesOf(jaeger, 'timed-', rounds * parallel);
  await cluster.kubectl(['delete', 'namespace', namespace, '--wait=false']);
  return {
    reviews: times.length,
    parallel,
    p99Ms: p99Of(times.map(({ ownMs }) => ownMs)),
    callerP99Ms: p99Of(times.map(({ callerMs }) => callerMs)),
  };
}

/** As cluster administrator, on a connection for each pod. */
function callerOf(cluster: Cluster) {
  const config = JSON.parse(readFileSync(cluster.kubeconfig, 'utf8'));
  const { server, 'certificate-authority': ca } = config.clusters[0].cluster;
  const { 'client-certificate': cert, 'client-key': key } = config.users[0].user;
  const files = { ca: readFileSync(ca), cert: readFileSync(cert), key: readFileSync(key) };
  const agent = new Agent({ keepAlive: true, ...files });
  const url = new URL(`/api/v1/namespaces/${namespace}/pods?dryRun=All`, server);
  return {
    close: () => agent.destroy(),
    create: (name: string) =>
      new Promise<void>((done, failed) => {
        const headers = { 'content-type': 'application/json' };
        const sent = request(url, { method: 'POST', agent, headers }, (response) => {
          let text = '';
          response.setEncoding('utf8');
          response.on('data', (chunk: string) => {
            text += chunk;
          });
          response.on('error', failed);
          response.on('end', () => {
            const isInjected = response.statusCode === 201 && text.includes('tracecar-proxy');
            if (isInjected) done();
            else failed(new Error(`a dry run of a pod: ${response.statusCode} ${text}`));
          });
        });
        sent.on('error', failed);
        sent.end(JSON.stringify(podOf(name)));
      }),
  };
}

function podOf(name: string): object {
  const containers = [{ name: 'app', image: 'example/app:1' }];
  return { apiVersion: 'v1', kind: 'Pod', metadata: { name, namespace }, spec: { containers } };
}

function p99Of(times: readonly number[]): number {
  return [...times].sort((a, b) => a - b)[Math.ceil(times.length * 0.99) - 1] ?? Number.NaN;
}

/** Of one review. */
interface ReviewTime {
  readonly ownMs: number;
  readonly callerMs: number;
}

/** Of the pods that begin with `prefix`, once all have come; the API server asks twice of many. */
async function timesOf(jaeger: Jaeger, prefix: string, wanted: number): Promise<ReviewTime[]> {
  const deadline = performance.now() + patienceMs;
  for (;;) {
    const traces = await jaeger.traces('tracecar-injector', 100_000);
    const times = traces.flatMap(({ spans }) => {
      const own = spans.filter(
        ({ service, attributes }) =>
          service === 'tracecar-injector' && attributes['k8s.pod.name']?.startsWith(prefix),
      );
      return own.flatMap((review) => {
        const call = spans.find(({ spanId }) => spanId === review.parentSpanId);
        return call === undefined ? [] : [{ ownMs: msOf(review), callerMs: msOf(call) }];
      });
    });
    if (times.length >= wanted) return times;
    if (performance.now() > deadline) {
      throw new Error(`of ${wanted} reviews only ${times.length} calls came to Jaeger`);
    }
    await wait(500);
  }
}

function msOf({ startNs, endNs }: JaegerSpan): number {
  return Number(endNs - startNs) / 1e6;
}
