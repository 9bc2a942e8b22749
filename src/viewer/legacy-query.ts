/**
 * The parameters of `/api/traces?service=...`, the search of Jaeger's older API.
 *
 * Times are microseconds since the epoch, durations Go's, tags a JSON object of texts or repeated
 * `tag=key:value`. Ranges and messages are those of Jaeger 2.13, but a depth of 0 is 400 here (500
 * there).
 */

import { parseAttributes, parseDuration } from './query-parameters.ts';
import type { TraceQuery } from './trace-search.ts';

const tracesMaxDefault = 100;

/** The query, or the sentence that says what is wrong with it. `tracesMaxLimit`: more are not given. */
export function readLegacyQuery(
  parameters: URLSearchParams,
  tracesMaxLimit: number,
): TraceQuery | string {
  const of = (name: string): string => parameters.get(name) ?? '';
  const service = of('service');
  if (service === '') return "parameter 'service' is required";
  const [startMinUs, startMaxUs] = [
    readMicroseconds(of('start'), 0),
    readMicroseconds(of('end'), Number.POSITIVE_INFINITY),
  ];
  if (startMinUs === undefined) return unable('start', 'not microseconds');
  if (startMaxUs === undefined) return unable('end', 'not microseconds');
  const durationMinNs = parseDuration(of('minDuration') || '0');
  const durationMaxNs = parseDuration(of('maxDuration') || '0');
  if (durationMinNs === undefined) return unable('minDuration', 'not a duration such as 1.5ms');
  if (durationMaxNs === undefined) return unable('maxDuration', 'not a duration such as 1.5ms');
  if (durationMaxNs !== 0 && durationMaxNs < durationMinNs) {
    return "'maxDuration' should be greater than 'minDuration'";
  }
  const limit = of('limit') || String(tracesMaxDefault);
  if (!/^0*[1-9]\d{0,8}$/.test(limit)) return unable('limit', 'not a whole number from 1');
  const attributes = readTags(parameters);
  if (typeof attributes === 'string') return attributes;
  return {
    service,
    operation: of('operation'),
    startMinUs,
    startMaxUs,
    durationMinNs,
    durationMaxNs: durationMaxNs === 0 ? Number.POSITIVE_INFINITY : durationMaxNs,
    attributes,
    tracesMax: Math.min(Number(limit), tracesMaxLimit),
  };
}

function unable(name: string, why: string): string {
  return `unable to parse param '${name}': ${why}`;
}

function readMicroseconds(text: string, otherwise: number): number | undefined {
  if (text === '') return otherwise;
  return /^\d{1,17}$/.test(text) ? Number(text) : undefined;
}

function readTags(parameters: URLSearchParams): ReadonlyMap<string, string> | string {
  const tags = new Map<string, string>();
  for (const text of parameters.getAll('tag')) {
    const at = text.indexOf(':');
    if (at === -1) {
      return `malformed 'tag' parameter, expecting key:value, received: ${text.slice(0, 100)}`;
    }
    tags.set(text.slice(0, at), text.slice(at + 1));
  }
  for (const text of parameters.getAll('tags')) {
    const parsed = parseAttributes(text);
    if (parsed === undefined) return "malformed 'tags' parameter, not a JSON object of texts";
    for (const [key, value] of parsed) tags.set(key, value);
  }
  return tags;
}
