/**
 * Compile tracing: what the Telemetry resources say to one workload, as Istio joins them.
 *
 * The one of the root namespace without a selector, then that of the workload's namespace, then the one
 * whose selector fits it; each field that a later one sets replaces it, custom tags as a whole. Of
 * several that stand equal the first by name counts, and the others are complained of.
 */

import type { Direction, TracingRule, TracingRules } from '../../model/routing-table.ts';
import { noTracingRules } from '../../model/routing-table.ts';
import { carries, labelText, withCanonical } from '../resource/labels.ts';
import { resourceName, type TelemetryResource } from '../resource/resource.ts';
import type { TracingEntry } from '../resource/telemetry-resource.ts';
import type { Labels } from '../resource/values.ts';
import type { Complaints } from '../syntax/complaints.ts';
import { placeText } from '../syntax/complaints.ts';
import { usualRootNamespace } from '../world/world.ts';

export interface TracedWorkload {
  readonly namespace: string;
  readonly labels: Labels;
  readonly rootNamespace?: string;
}

export function compileTracing(
  telemetries: readonly TelemetryResource[],
  workload: TracedWorkload,
  complaints: Complaints,
): TracingRules {
  let rules = noTracingRules;
  for (const { spec } of selectTelemetry(telemetries, workload, complaints)) {
    for (const entry of spec.tracing ?? []) rules = merge(rules, entry);
  }
  return rules;
}

/** At most three, from the most general to the most particular. */
function selectTelemetry(
  telemetries: readonly TelemetryResource[],
  workload: TracedWorkload,
  complaints: Complaints,
): readonly TelemetryResource[] {
  const { namespace, rootNamespace: root = usualRootNamespace } = workload;
  const sorted = telemetries.toSorted(byName);
  const labels = withCanonical(workload.labels);
  const general = (of: string) =>
    sorted.filter((each) => each.namespace === of && !hasSelector(each));
  const fitting = sorted.filter(
    (each) =>
      each.namespace === namespace && hasSelector(each) && carries(labels, selectorOf(each)),
  );
  const levels = [...(root === namespace ? [] : [general(root)]), general(namespace), fitting];
  return levels.flatMap((level) => {
    const [first, ...others] = level;
    if (first === undefined) return [];
    for (const each of others) {
      const message =
        `Telemetry ${resourceName(first)} (${placeText(first.at)}) says the same workload ` +
        `(${labelText(workload.labels)}) how to trace and counts`;
      const fix = 'Join the two, or give the selectors labels that tell the workloads apart.';
      complaints.add('telemetry-ambiguous', each.at, message, fix);
    }
    return [first];
  });
}

function byName(first: TelemetryResource, second: TelemetryResource): number {
  const [one, other] = [resourceName(first), resourceName(second)];
  return Number(one > other) - Number(one < other);
}

function selectorOf({ spec }: TelemetryResource): Labels {
  return spec.selector?.matchLabels ?? {};
}

function hasSelector(resource: TelemetryResource): boolean {
  return Object.keys(selectorOf(resource)).length > 0;
}

function merge(rules: TracingRules, entry: TracingEntry): TracingRules {
  const mode = entry.match?.mode ?? 'both';
  const ruleOf = (direction: Direction) =>
    mode === 'both' || mode === direction ? over(rules[direction], entry) : rules[direction];
  return { inbound: ruleOf('inbound'), outbound: ruleOf('outbound') };
}

function over(rule: TracingRule, entry: TracingEntry): TracingRule {
  const { randomSamplingPercentage, disableSpanReporting, customTags } = entry;
  return {
    ratio: randomSamplingPercentage ?? rule.ratio,
    isReported: disableSpanReporting === undefined ? rule.isReported : !disableSpanReporting,
    tags: customTags ?? rule.tags,
  };
}
