/**
 * Captured headers: names of header fields that become attributes of spans, from the environment.
 *
 * Fields that carry secrets are never among them, whoever asks.
 */

import { telemetryLimits } from '../../model/telemetry-limits.ts';
import type { EnvReader } from './env-reader.ts';

/** Names lower-case, each once. */
export interface CapturedHeaders {
  readonly request: readonly string[];
  readonly response: readonly string[];
}

/** They carry passwords, sessions and the token of `--debug-token`, and a trace is read by more people than may have those. */
export const secretFields: readonly string[] = [
  'authorization',
  'proxy-authorization',
  'cookie',
  'set-cookie',
  'x-tracecar-debug',
];

/** OTEL_INSTRUMENTATION_HTTP_SERVER_CAPTURE_REQUEST_HEADERS and the three like it. */
export function readCapturedHeaders(reader: EnvReader, kind: 'SERVER' | 'CLIENT'): CapturedHeaders {
  const list = (part: 'REQUEST' | 'RESPONSE') =>
    readFields(reader, `OTEL_INSTRUMENTATION_HTTP_${kind}_CAPTURE_${part}_HEADERS`);
  return { request: list('REQUEST'), response: list('RESPONSE') };
}

function readFields(reader: EnvReader, variable: string): readonly string[] {
  const names = (reader.text(variable) ?? '').toLowerCase().split(',');
  const fields = new Set(names.map((name) => name.trim()).filter((name) => name !== ''));
  for (const name of fields) {
    const isSecret = secretFields.includes(name);
    if (!isSecret && /^[!#$%&'*+.^_`|~0-9a-z-]+$/.test(name)) continue;
    fields.delete(name);
    const why = isSecret ? 'which carries secrets' : 'which is not the name of a header field';
    reader.warn(variable, `names ${name}, ${why}; it is not captured`);
  }
  const { capturedHeadersMax: most } = telemetryLimits;
  if (fields.size > most) reader.warn(variable, `has more than ${most} names; the first are used`);
  return [...fields].slice(0, most);
}
