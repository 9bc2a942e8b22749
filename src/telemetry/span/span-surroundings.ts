/**
 * What all spans of a worker have in common, made once from the settings; names and facts of tables
 * come in later, by the port that the hot thread posts them to.
 */

import type { InstrumentationScope } from '@opentelemetry/core';
import { type Resource, resourceFromAttributes } from '@opentelemetry/resources';
import { correlationFieldsOf } from '../context/correlation-fields.ts';
import type { TelemetrySettings } from '../settings/settings.ts';
import type { AttributeSources } from './attribute-parts.ts';
import { ClusterBook } from './cluster-facts.ts';
import { resourceAttributes } from './resource-attributes.ts';
import { RuleBook } from './rule-book.ts';

export interface SpanSurroundings extends AttributeSources {
  readonly resource: Resource;
  readonly scope: InstrumentationScope;
  /** Wall-clock milliseconds at the monotonic 0 of `record.startMs`. */
  readonly epochMs: number;
  /** Of new traces, where no table says otherwise: what their spans' trace state is made of. */
  readonly ratio: number;
  readonly attributesMax: number;
  readonly attributeLengthMax: number;
}

const SCHEMA_URL = 'https://opentelemetry.io/schemas/1.44.0';

/** `names` is kept, not copied: what is added to it later is known to spans. */
export function createSurroundings(
  settings: TelemetrySettings,
  version: string,
  epochMs: number,
  names: readonly string[],
): SpanSurroundings {
  return {
    resource: resourceFromAttributes(resourceAttributes(settings.resource, version), {
      schemaUrl: SCHEMA_URL,
    }),
    scope: { name: 'tracecar', version, schemaUrl: SCHEMA_URL },
    names,
    clusters: new ClusterBook(),
    rules: new RuleBook(),
    correlationFields: correlationFieldsOf(settings.correlationHeaders),
    capturedHeaders: settings.capturedHeaders,
    epochMs,
    ratio: settings.sampler.ratio,
    knownMethods: settings.knownMethods,
    attributesMax: settings.attributesMax,
    attributeLengthMax: settings.attributeLengthMax,
  };
}
