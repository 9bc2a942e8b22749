/**
 * The demo's judge of traces: it must see every way in which a trace can be wrong.
 */

import assert from 'node:assert/strict';
import { test } from 'node:test';
import {
  type CheckedSpan,
  judgeTrace,
  printPeers,
  spansByTrace,
} from '../../examples/ab-rollout/driver/trace-check.ts';

function span(service: string, kind: 'SERVER' | 'CLIENT', spanId: string, parentId: string) {
  return { traceId: 't', spanId, parentId, service, kind, requestId: '7', peer: '' };
}

const whole: readonly CheckedSpan[] = [
  span('web', 'SERVER', 'a', ''),
  span('web', 'CLIENT', 'b', 'a'),
  span('reviews', 'SERVER', 'c', 'b'),
  span('reviews', 'CLIENT', 'd', 'c'),
  span('ratings', 'SERVER', 'e', 'd'),
];

function changed(index: number, changes: Partial<CheckedSpan>): CheckedSpan[] {
  return whole.map((each, at) => (at === index ? { ...each, ...changes } : each));
}

test('five spans under their parents are a whole trace, in any order', () => {
  for (const spans of [whole, whole.toReversed()]) {
    assert.deepEqual(judgeTrace(spans), {
      traceId: 't',
      requestId: '7',
      isComplete: true,
      wrongParents: 0,
      verifiedHops: 0,
    });
  }
});

test('a hop is verified when both of its ends name the right peer', () => {
  const peers = ['', 'reviews', 'web', 'ratings', 'reviews'].map((account) =>
    account === '' ? '' : `spiffe://cluster.local/ns/default/sa/${account}`,
  );
  const meshed = whole.map((each, index) => ({ ...each, peer: peers[index]! }));
  assert.equal(judgeTrace(meshed).verifiedHops, 2);
  const prefix = 'spiffe://cluster.local/ns/default/sa';
  assert.equal(
    printPeers(meshed),
    `  web -> reviews      ${prefix}/web -> ${prefix}/reviews
  reviews -> ratings  ${prefix}/reviews -> ${prefix}/ratings
`,
  );
  for (const index of [1, 2, 3, 4]) {
    for (const peer of ['', 'spiffe://cluster.local/ns/default/sa/other', `${peers[index]}2`]) {
      const spans = meshed.map((each, at) => (at === index ? { ...each, peer } : each));
      assert.equal(judgeTrace(spans).verifiedHops, 1, `span ${index}, '${peer}'`);
    }
  }
});

test('a trace without one of its spans is incomplete, and no parent is wrong yet', () => {
  for (const missing of whole) {
    const verdict = judgeTrace(whole.filter((each) => each !== missing));
    assert.equal(verdict.isComplete, false);
    assert.equal(verdict.wrongParents, 0, `without ${missing.service} ${missing.kind}`);
  }
});

test('a span under another than its own parent is wrong', () => {
  for (let index = 1; index < whole.length; index += 1) {
    for (const { spanId } of whole) {
      if (spanId === whole[index]!.parentId) continue;
      const verdict = judgeTrace(changed(index, { parentId: spanId }));
      assert.equal(verdict.isComplete, false);
      assert.equal(verdict.wrongParents, 1, `${whole[index]!.spanId} under ${spanId}`);
    }
  }
});

test('a span of another request is wrong although its parent looks right', () => {
  for (let index = 1; index < whole.length; index += 1) {
    const verdict = judgeTrace(changed(index, { requestId: '8' }));
    assert.equal(verdict.isComplete, false);
    assert.equal(verdict.wrongParents, 1);
  }
});

test('a trace that begins in the middle has a wrong parent', () => {
  const verdict = judgeTrace([
    span('reviews', 'SERVER', 'c', ''),
    span('ratings', 'SERVER', 'e', 'c'),
  ]);
  assert.equal(verdict.isComplete, false);
  assert.equal(verdict.wrongParents, 2);
});

test('a sixth span or a stranger makes a trace wrong', () => {
  assert.equal(judgeTrace([...whole, span('ratings', 'SERVER', 'f', 'd')]).isComplete, false);
  assert.equal(judgeTrace([...whole, span('billing', 'SERVER', 'f', 'd')]).wrongParents, 1);
});

test('spans are read from the query API by trace, with the id in their URL', () => {
  const attribute = (key: string, stringValue: string) => ({ key, value: { stringValue } });
  const traces = spansByTrace({
    result: {
      resourceSpans: [
        {
          resource: { attributes: [attribute('service.name', 'web')] },
          scopeSpans: [
            {
              spans: [
                {
                  traceId: 't',
                  spanId: 'a',
                  kind: 2,
                  attributes: [attribute('url.query', 'x=1&id=7')],
                },
                {
                  traceId: 't',
                  spanId: 'b',
                  parentSpanId: 'a',
                  kind: 'SPAN_KIND_CLIENT',
                  attributes: [attribute('url.full', 'http://127.0.0.1:1/reviews?id=7')],
                },
              ],
            },
          ],
        },
      ],
    },
  });
  assert.deepEqual(traces.get('t'), [
    span('web', 'SERVER', 'a', ''),
    span('web', 'CLIENT', 'b', 'a'),
  ]);
  assert.equal(spansByTrace({}).size, 0);
});
