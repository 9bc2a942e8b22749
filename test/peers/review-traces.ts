/**
 * Traces of the webhook's reviews in Jaeger, for webhook.test.ts.
 *
 * Spans of the API server and of the injector arrive in batches of their own, in any order.
 */

import { setTimeout as wait } from 'node:timers/promises';
import type { Jaeger, JaegerSpan, JaegerTrace } from './jaeger.ts';

/** Its service name, and the name that its objects carry. */
export const injector = 'tracecar-injector';
const patienceMs = 30_000;

/** Whether a span is the webhook's own, of a pod of namespace `shop`. */
export function isReview({ service, name, attributes }: JaegerSpan): boolean {
  const isOfPod = service === injector && name === 'POST /inject/pods';
  return isOfPod && attributes['k8s.namespace.name'] === 'shop';
}

/**
 * Waits until spans of the API server reach Jaeger. It started first and was refused: it dials again
 * after longer and longer waits, and what it traces meanwhile is lost.
 */
export async function untilApiServerTraces(jaeger: Jaeger): Promise<void> {
  const deadline = performance.now() + 2 * patienceMs;
  while (!(await jaeger.services()).includes('apiserver')) {
    if (performance.now() > deadline) throw new Error('no span of the API server came in 60 s');
    await wait(250);
  }
}

/** The first trace that holds a review and its parent; throws after 30 s. Jaeger tells no news. */
export async function untilTraced(jaeger: Jaeger): Promise<JaegerTrace> {
  const deadline = performance.now() + patienceMs;
  let traces: readonly JaegerTrace[] = [];
  while (performance.now() < deadline) {
    traces = await jaeger.traces(injector, 1_000);
    const found = traces.find(({ spans }) => {
      const own = spans.find(isReview);
      return own !== undefined && spans.some(({ spanId }) => spanId === own.parentSpanId);
    });
    if (found !== undefined) return found;
    await wait(250);
  }
  const seen = traces.flatMap(({ spans }) => spans.map((each) => `${each.service} ${each.name}`));
  throw new Error(`no review below a span of the API server came: ${seen.join(', ')}`);
}
