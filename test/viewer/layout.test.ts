/**
 * What is computed from a trace before anything is drawn: rows, critical path, network gaps, pairs
 * of two traces, places of a graph.
 */

import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { layOutGraph } from '../../src/viewer/graph-layout.ts';
import { readStoredTrace } from '../../src/viewer/stored-trace.ts';
import { matchTraces } from '../../src/viewer/trace-difference.ts';
import { layOutTrace, shownRows, type TraceLayout } from '../../src/viewer/trace-layout.ts';
import { demoTrace, exportBody, type SpanFixture } from './span-fixtures.ts';

const traceId = '4bf92f3577b34da6a3ce929d0e0e4736';
const startMs = 1_795_627_913_000;

function layOut(spans: readonly SpanFixture[]): TraceLayout {
  return layOutTrace(readStoredTrace(traceId, exportBody(spans))!);
}

/** Times in whole milliseconds after the start; parent 0 is none. */
function span(
  id: number,
  parent: number,
  at: number,
  took: number,
  more: Partial<SpanFixture> = {},
): SpanFixture {
  return {
    traceId,
    spanId: id.toString(16).padStart(16, '0'),
    ...(parent === 0 ? {} : { parentSpanId: parent.toString(16).padStart(16, '0') }),
    service: `s${id}`,
    name: 'GET',
    startMs: startMs + at,
    durationMs: took,
    ...more,
  };
}

function pathOf(layout: TraceLayout): string[] {
  return layout.path.map(({ index, fromNs, toNs }) => {
    return `${layout.rows[index]!.span.service} ${fromNs / 1e6}-${toNs / 1e6}`;
  });
}

test('the critical path is what was waited for: the child that ended last, and so on', () => {
  const layout = layOut([
    span(1, 0, 0, 100),
    span(2, 1, 10, 30),
    // Beside a slower one: not waited for.
    span(3, 1, 45, 15),
    span(4, 1, 40, 40),
    span(5, 4, 50, 20),
  ]);
  assert.deepEqual(pathOf(layout), [
    's1 0-10',
    's2 10-40',
    's4 40-50',
    's5 50-70',
    's4 70-80',
    's1 80-100',
  ]);
});

test('a child counts on the path only inside of its parent', () => {
  const layout = layOut([span(1, 0, 10, 20), span(2, 1, 5, 10), span(3, 1, 25, 50)]);
  // Times count from the earliest span, which is s2.
  assert.deepEqual(pathOf(layout), ['s2 5-10', 's1 10-20', 's3 20-25']);
});

/** Any forest of spans with any times, parents before children. */
const forests = fc
  .array(
    fc.record({
      parent: fc.nat(),
      at: fc.integer({ min: 0, max: 60 }),
      took: fc.integer({ min: 0, max: 60 }),
      kind: fc.constantFrom(1, 2, 3),
    }),
    { minLength: 1, maxLength: 40 },
  )
  .map((list) =>
    list.map(({ parent, at, took, kind }, index) =>
      span(index + 1, index === 0 ? 0 : parent % (index + 1), at, took, { kind }),
    ),
  );

test('segments of the path are disjoint, in order, inside of their spans, and add up', () => {
  fc.assert(
    fc.property(forests, (spans) => {
      const layout = layOut(spans);
      let before = 0;
      let sum = 0;
      for (const { index, fromNs, toNs } of layout.path) {
        const { offsetNs, span: owner } = layout.rows[index]!;
        assert.ok(fromNs < toNs && fromNs >= before);
        assert.ok(fromNs >= offsetNs && toNs <= offsetNs + owner.durationNs);
        before = toNs;
        sum += toNs - fromNs;
      }
      const root = layout.rows.find(({ depth, isOrphan }) => depth === 0 && !isOrphan);
      assert.equal(sum, root!.span.durationNs);
      assert.equal(
        layout.rows.reduce((total, { pathNs }) => total + pathNs, 0),
        sum,
      );
    }),
  );
});

test('rows know what is below them; hiding it leaves the others in order', () => {
  fc.assert(
    fc.property(forests, fc.array(fc.nat(), { maxLength: 5 }), (spans, closed) => {
      const layout = layOut(spans);
      const indexes = new Set(closed.map((each) => each % layout.rows.length));
      const shown = new Set(shownRows(layout, indexes));
      for (const row of layout.rows) {
        let isHidden = false;
        for (let above = row.parent; above >= 0; above = layout.rows[above]!.parent) {
          isHidden ||= indexes.has(above);
        }
        assert.equal(shown.has(row.index), !isHidden);
      }
    }),
  );
});

test('a chain of 20 000 spans is laid out, walked and matched without recursion', () => {
  const chain = Array.from({ length: 20_000 }, (_, index) => {
    return span(index + 1, index, index / 1000, 40 - index / 1000);
  });
  const layout = layOut(chain);
  assert.equal(layout.rows.at(-1)!.depth, 19_999);
  assert.equal(layout.rows[0]!.below, 19_999);
  assert.equal(matchTraces(layout, layout).length, 20_000);
});

test('a circle of parents stands at the top with all that hangs on it, and is no orphan', () => {
  const layout = layOut([
    // Hangs on the circle 2, 3, 4 and began before it.
    span(1, 3, 0, 5),
    span(2, 4, 5, 5),
    span(3, 2, 3, 5),
    span(4, 3, 4, 5),
    span(5, 5, 1, 1),
    span(6, 99, 2, 1),
    span(7, 0, 6, 1),
  ]);
  const words = layout.rows.map(({ span: { service }, depth, isOrphan, isCircular }) => {
    return `${depth} ${service}${isOrphan ? ' orphan' : ''}${isCircular ? ' circular' : ''}`;
  });
  assert.deepEqual(words, [
    '0 s6 orphan',
    '0 s7',
    '0 s3 circular',
    '1 s1',
    '1 s4',
    '2 s2',
    '0 s5 circular',
  ]);
  // The only root is what the others came from, as far as one can tell.
  assert.deepEqual(pathOf(layout), ['s7 6-7']);
});

test('a trace took what its root took; without one root, from the first start to the last end', () => {
  const took = (...spans: readonly SpanFixture[]) => {
    const { tookNs, totalNs } = layOut(spans);
    return [tookNs / 1e6, totalNs / 1e6];
  };
  assert.deepEqual(took(span(1, 0, 0, 10), span(2, 1, 3_600_000, 5)), [10, 3_600_005]);
  assert.deepEqual(took(span(1, 0, 0, 10), span(2, 9, 20, 5)), [10, 25]);
  assert.deepEqual(took(span(1, 0, 0, 10), span(2, 0, 20, 5)), [25, 25]);
  assert.deepEqual(took(span(1, 8, 0, 10), span(2, 9, 20, 5)), [25, 25]);
  assert.deepEqual(took(span(1, 1, 0, 10), span(2, 1, 20, 5)), [25, 25]);
});

test('a span without a start stretches nothing', () => {
  const layout = layOut([{ ...span(1, 2, 0, 5), startMs: 0, durationMs: 1e12 }, span(2, 0, 7, 9)]);
  assert.equal(layout.totalNs, 9e6);
  assert.deepEqual(
    layout.rows.map(({ offsetNs, span: { service, durationNs } }) => [
      service,
      offsetNs,
      durationNs,
    ]),
    [
      ['s2', 0, 9e6],
      ['s1', 0, 0],
    ],
  );
  assert.equal(layout.skew, undefined);
});

test('clocks differ where a callee is more than 1 ms outside of its call; the worst is named', () => {
  const skew = (calleeAt: number, more: Partial<SpanFixture> = {}) => {
    const spans = [
      span(1, 0, 10, 10, { kind: 3 }),
      span(2, 1, calleeAt, 5, { kind: 2, ...more }),
      span(3, 1, 9, 5, { kind: 2, startMs: startMs + 9.5 }),
    ];
    const layout = layOut(spans);
    const found = layout.skew;
    return found && [layout.rows[found.index]!.span.service, found.ns / 1e6, found.isBefore];
  };
  assert.equal(skew(12), undefined);
  assert.deepEqual(skew(5), ['s2', 5, true]);
  assert.deepEqual(skew(22), ['s2', 2, false]);
  assert.equal(skew(20), undefined);
  // What is no call may run on by itself, but not before what caused it.
  assert.equal(skew(22, { kind: 5 }), undefined);
  assert.deepEqual(skew(5, { kind: 5 }), ['s2', 5, true]);
  // In one process there is one clock.
  assert.equal(skew(5, { kind: 1, service: 's1' }), undefined);
});

test('the network gap is the call minus the callee; a clock that is off is said', () => {
  const call = (calleeAt: number, calleeTook: number) => {
    const client = span(1, 0, 10, 10, { kind: 3 });
    const server = span(2, 1, calleeAt, calleeTook, { kind: 2 });
    const { rows } = layOut([client, server]);
    const { gapNs, beforeNs, afterNs, isSkewed } = rows.find(({ gap }) => gap)!.gap!;
    return [gapNs / 1e6, beforeNs / 1e6, afterNs / 1e6, isSkewed];
  };
  assert.deepEqual(call(12, 5), [5, 2, 3, false]);
  assert.deepEqual(call(8, 5), [5, -2, 7, true]);
  assert.deepEqual(call(16, 8), [2, 6, -4, true]);
  assert.deepEqual(call(10, 12), [-2, 0, -2, true]);
});

test('only a SERVER span below a CLIENT span makes a gap; proxies are summed up', () => {
  const { rows, gapNs, proxyNs } = layOut(demoTrace(traceId, startMs));
  assert.deepEqual(
    rows.map(({ gap }) => gap?.server),
    [undefined, 2, undefined, 4, undefined],
  );
  assert.equal(Math.round(gapNs / 1000), 310 + 400);
  assert.equal(proxyNs, 51_000);
});

test('traces match by service, kind, name and callee; versions do not matter', () => {
  const left = layOut(demoTrace(traceId, startMs));
  const other = demoTrace(traceId, startMs).map((each) => {
    const { 'tracecar.subset': subset, ...attributes } = each.attributes!;
    return {
      ...each,
      attributes: subset ? { ...attributes, 'tracecar.subset': 'v2' } : attributes,
    };
  });
  const extra = { ...other[3]!, spanId: '00000000000000b1', startMs: startMs + 1.5 };
  const pairs = matchTraces(left, layOut([...other.slice(0, 4), extra]));
  const words = pairs.map(({ depth, left: one, right }) => {
    return `${depth} ${one?.span.spanId.slice(-2)} ${right?.span.spanId.slice(-2)}`;
  });
  // The first of two equal calls is the one that both have; ratings is only in the left one.
  assert.deepEqual(words, [
    '0 a1 a1',
    '1 a2 a2',
    '2 a3 a3',
    '3 a4 a4',
    '4 a5 undefined',
    '3 undefined b1',
  ]);
});

test('every span of both traces is in one pair', () => {
  fc.assert(
    fc.property(forests, forests, (one, other) => {
      const [left, right] = [layOut(one), layOut(other)];
      const pairs = matchTraces(left, right);
      const indexes = (rows: readonly (number | undefined)[]) =>
        rows.filter((index) => index !== undefined).sort((a, b) => a - b);
      assert.deepEqual(
        indexes(pairs.map((pair) => pair.left?.index)),
        left.rows.map(({ index }) => index),
      );
      assert.deepEqual(
        indexes(pairs.map((pair) => pair.right?.index)),
        right.rows.map(({ index }) => index),
      );
    }),
  );
});

const graphs = fc.array(fc.tuple(fc.nat({ max: 9 }), fc.nat({ max: 9 })), { maxLength: 25 });

test('callers stand left of callees, but for one edge of each circle; no two in one place', () => {
  fc.assert(
    fc.property(graphs, (pairs) => {
      const edges = pairs.map(([from, to]) => ({ from: `s${from}`, to: `s${to}` }));
      const { nodes, ways, layers, slots } = layOutGraph({ nodes: ['alone'], edges });
      const places = [...nodes.values()].map(({ layer, slot }) => `${layer} ${slot}`);
      assert.equal(new Set(places).size, nodes.size);
      edges.forEach(({ from, to }, index) => {
        const way = ways[index]!;
        assert.equal(way[0], nodes.get(from));
        assert.equal(way.at(-1), nodes.get(to));
        // One layer at a time, in one direction.
        const steps = new Set(way.slice(1).map((place, at) => place.layer - way[at]!.layer));
        assert.ok(steps.size <= 1 && [...steps].every((step) => Math.abs(step) === 1));
      });
      for (const { layer, slot } of nodes.values()) {
        assert.ok(layer >= 0 && layer < layers && slot >= 0 && slot < slots);
      }
      const isAcyclic = edges.every(({ from, to }) => Number(from.slice(1)) < Number(to.slice(1)));
      if (!isAcyclic) return;
      for (const { from, to } of edges) {
        assert.ok(nodes.get(from)!.layer < nodes.get(to)!.layer);
      }
    }),
  );
});

test('a circle is opened where it leads back to whom the others hang on', () => {
  const edges = [
    { from: 'web', to: 'reviews' },
    { from: 'reviews', to: 'ratings' },
    { from: 'web', to: 'cart' },
    { from: 'ratings', to: 'web' },
  ];
  const one = layOutGraph({ nodes: [], edges });
  assert.equal(one.layers, 3);
  assert.equal(one.nodes.get('web')!.layer, 0);
  // The way that closes the circle leads back.
  assert.deepEqual(
    one.ways[3]!.map(({ layer }) => layer),
    [2, 1, 0],
  );
});
