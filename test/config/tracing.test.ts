/**
 * Telemetry resources joined: the last one that sets a field counts, from the root namespace over the
 * workload's to the workload, and nothing else matters.
 */

import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { compileTracing } from '../../src/config/compile/compile-tracing.ts';
import { compileTable, readResources } from '../../src/config/load.ts';
import type { TelemetryResource } from '../../src/config/resource/resource.ts';
import { Complaints } from '../../src/config/syntax/complaints.ts';
import type { Direction, TracingRules } from '../../src/model/routing-table.ts';
import { noTracingRules } from '../../src/model/routing-table.ts';

const workload = { namespace: 'shop', labels: { app: 'web', version: 'v1' } };

interface Written {
  readonly mode: 'CLIENT' | 'SERVER' | 'CLIENT_AND_SERVER' | undefined;
  readonly percentage: number | undefined;
  readonly isDisabled: boolean | undefined;
  readonly tags: readonly string[] | undefined;
}

interface Resource {
  readonly namespace: string;
  readonly name: string;
  readonly selector: string;
  readonly entries: readonly Written[];
}

function textOf({ namespace, name, selector, entries }: Resource): string {
  const tracing = entries.map(({ mode, percentage, isDisabled, tags }) => {
    const tagTexts = tags?.map((tag) => `${tag}: {literal: {value: ${tag}-of-${name}}}`);
    const fields = [
      mode && `match: {mode: ${mode}}`,
      percentage !== undefined && `randomSamplingPercentage: ${percentage}`,
      isDisabled !== undefined && `disableSpanReporting: ${isDisabled}`,
      tagTexts && `customTags: {${tagTexts.join(', ')}}`,
    ];
    return `{${fields.filter((field) => typeof field === 'string').join(', ')}}`;
  });
  return `apiVersion: telemetry.istio.io/v1\nkind: Telemetry
metadata: {name: ${name}, namespace: ${namespace}}
spec:\n  selector: {matchLabels: {${selector}}}\n  tracing: [${tracing.join(', ')}]\n`;
}

function resourcesOf(all: readonly Resource[]): readonly TelemetryResource[] {
  const text = all.map(textOf).join('---\n');
  const { resources, diagnostics } = readResources([{ file: 'telemetry.yaml', text }]);
  assert.deepEqual(diagnostics, []);
  return resources.filter((each) => each.kind === 'Telemetry');
}

function compile(all: readonly Resource[], rootNamespace?: string) {
  const complaints = new Complaints();
  const context = { ...workload, ...(rootNamespace === undefined ? {} : { rootNamespace }) };
  const rules = compileTracing(resourcesOf(all), context, complaints);
  return { rules, codes: complaints.list().map(({ code }) => code) };
}

const entries: fc.Arbitrary<readonly Written[]> = fc.array(
  fc.record({
    mode: fc.constantFrom(
      'CLIENT' as const,
      'SERVER' as const,
      'CLIENT_AND_SERVER' as const,
      undefined,
    ),
    percentage: fc.constantFrom(undefined, 0, 0.01, 12.5, 100),
    isDisabled: fc.constantFrom(undefined, true, false),
    tags: fc.option(fc.subarray(['a', 'b', 'c']), { nil: undefined }),
  }),
  { maxLength: 3 },
);

/** At most one that counts for each level. */
const levels = fc.record({
  root: fc.option(entries),
  namespace: fc.option(entries),
  workload: fc.option(entries),
});

function resourcesAt(found: Record<'root' | 'namespace' | 'workload', readonly Written[] | null>) {
  const { root, namespace, workload: own } = found;
  const all: Resource[] = [];
  if (root) all.push({ namespace: 'istio-system', name: 'root', selector: '', entries: root });
  if (namespace) all.push({ namespace: 'shop', name: 'all', selector: '', entries: namespace });
  if (own) all.push({ namespace: 'shop', name: 'web', selector: 'app: web', entries: own });
  return all;
}

/** What the rules must be: field by field the last that is written for the direction. */
function expected(all: readonly Resource[]): TracingRules {
  const ofDirection = (direction: Direction) => {
    const mode = direction === 'inbound' ? 'SERVER' : 'CLIENT';
    const meant = all.flatMap(({ name, entries: written }) =>
      written
        .filter((each) => each.mode === undefined || each.mode !== other(mode))
        .map((each) => ({ ...each, name })),
    );
    const ratio = meant.findLast(({ percentage }) => percentage !== undefined)?.percentage;
    const disabled = meant.findLast(({ isDisabled }) => isDisabled !== undefined)?.isDisabled;
    const tags = meant.findLast((each) => each.tags !== undefined);
    return {
      ratio: ratio === undefined ? undefined : ratio / 100,
      isReported: disabled !== true,
      tags: (tags?.tags ?? []).map((name) => ({
        kind: 'literal' as const,
        name,
        value: `${name}-of-${tags!.name}`,
      })),
    };
  };
  return { inbound: ofDirection('inbound'), outbound: ofDirection('outbound') };
}

function other(mode: 'CLIENT' | 'SERVER'): 'CLIENT' | 'SERVER' {
  return mode === 'CLIENT' ? 'SERVER' : 'CLIENT';
}

test('each field is the one of the most particular resource that sets it', () => {
  fc.assert(
    fc.property(levels, (found) => {
      const all = resourcesAt(found);
      const { rules, codes } = compile(all);
      assert.deepEqual(rules, expected(all));
      assert.deepEqual(codes, []);
    }),
  );
});

test('neither the order of resources nor those of other workloads matter', () => {
  const strangers: readonly Resource[] = [
    { namespace: 'shop', name: 'v2', selector: 'app: web, version: v2', entries: [] },
    { namespace: 'other', name: 'all', selector: '', entries: [] },
    { namespace: 'istio-system', name: 'some', selector: 'app: web', entries: [] },
  ];
  fc.assert(
    fc.property(levels, entries, fc.nat(), (found, written, turn) => {
      const all = resourcesAt(found);
      const more = [...all, ...strangers.map((each) => ({ ...each, entries: written }))];
      const at = turn % more.length;
      const turned = [...more.slice(at), ...more.slice(0, at)].toReversed();
      assert.deepEqual(compile(turned).rules, compile(all).rules);
    }),
  );
});

test('saying the same once more, further down, changes nothing', () => {
  fc.assert(
    fc.property(entries, (written) => {
      const once = compile(resourcesAt({ root: written, namespace: null, workload: null }));
      const again = compile(resourcesAt({ root: written, namespace: written, workload: written }));
      const plain = (rules: TracingRules) => JSON.stringify(rules).replaceAll(/-of-\w+/g, '');
      assert.equal(plain(again.rules), plain(once.rules));
    }),
  );
});

test('the root namespace is the one that is named', () => {
  const of = (namespace: string): Resource => ({
    ...{ namespace, name: 'all', selector: '' },
    entries: [{ mode: undefined, percentage: 50, isDisabled: undefined, tags: undefined }],
  });
  assert.equal(compile([of('mesh')]).rules.inbound.ratio, undefined);
  assert.equal(compile([of('mesh')], 'mesh').rules.inbound.ratio, 0.5);
  assert.equal(compile([of('istio-system')], 'mesh').rules.inbound.ratio, undefined);
  const own = compile([of('shop')], 'shop');
  assert.deepEqual([own.rules.inbound.ratio, own.codes], [0.5, []]);
});

test("a selector may name the labels that Istio's injection adds", () => {
  const entry = { mode: undefined, percentage: 50, isDisabled: undefined, tags: undefined };
  const ratioFor = (selector: string) => {
    const all = [{ namespace: 'shop', name: 'web', selector, entries: [entry] }];
    return compile(all).rules.inbound.ratio;
  };
  assert.equal(ratioFor('service.istio.io/canonical-name: web'), 0.5);
  assert.equal(ratioFor('service.istio.io/canonical-revision: v1'), 0.5);
  assert.equal(ratioFor('service.istio.io/canonical-name: reviews'), undefined);
});

test('without Telemetry a table has the rules of nobody, and with it they are frozen', () => {
  const context = { ...workload, generation: 1, capture: 'none' as const };
  assert.equal(compileTable([], context).table.tracing, noTracingRules);
  const text = textOf({
    ...{ namespace: 'shop', name: 'all', selector: '' },
    entries: [{ mode: undefined, percentage: 1, isDisabled: undefined, tags: ['a'] }],
  });
  const { resources } = readResources([{ file: 'a.yaml', text }]);
  const { tracing } = compileTable(resources, context).table;
  assert.ok(Object.isFrozen(tracing.inbound.tags[0]));
  assert.ok(Object.isFrozen(tracing.outbound));
});
