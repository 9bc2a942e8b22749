/**
 * Surroundings of spans for tests: what the worker has, made of settings that nobody set.
 */

import { emptyResource } from '@opentelemetry/resources';
import { readTelemetrySettings } from '../../src/telemetry/settings/settings.ts';
import {
  createSurroundings,
  type SpanSurroundings,
} from '../../src/telemetry/span/span-surroundings.ts';

/** Of a resource without attributes, with the given fields over the usual ones. */
export function surroundings(fields: Partial<SpanSurroundings> = {}): SpanSurroundings {
  const { settings } = readTelemetrySettings({});
  const usual = createSurroundings(settings, '1.2.3', 1.7e12, ['']);
  return { ...usual, resource: emptyResource(), scope: { name: 'tracecar' }, ...fields };
}
