/**
 * Telemetry settings: OTEL_* variables (OpenTelemetry specification 1.60) as plain data.
 *
 * A value that cannot be read is a warning and then as if it were not set, as the specification
 * asks; nothing here throws. Our own defaults where they differ: parentbased_traceidratio 0.01 as the
 * sampler and http/json as the only protocol. Header values are secrets: no warning quotes one.
 */

import { telemetryLimits } from '../model/limits.ts';
import { type Environment, EnvReader } from './env-reader.ts';

export interface SamplerSettings {
  /** Whether a received sampled flag decides, so that `ratio` is for new traces only. */
  readonly isParentBased: boolean;
  /** Share of traces that are exported, 0 to 1. */
  readonly ratio: number;
}

export interface BatchSettings {
  readonly delayMs: number;
  readonly timeoutMs: number;
  readonly queueMax: number;
  readonly batchMax: number;
}

export interface OtlpSettings {
  /** Absolute http or https URL, path included. */
  readonly url: string;
  readonly headers: Readonly<Record<string, string>>;
  readonly timeoutMs: number;
  readonly compression: 'none' | 'gzip';
  /** Variables that name certificate files: the exporter reads those itself. */
  readonly certificates: Readonly<Record<string, string>>;
}

export interface TelemetrySettings {
  /** `none` also when OTEL_SDK_DISABLED is true. Then no trace is started and none is changed. */
  readonly exporter: 'otlp' | 'console' | 'none';
  readonly sampler: SamplerSettings;
  readonly batch: BatchSettings;
  readonly otlp: OtlpSettings;
  /** Resource attributes, `service.name` among them. */
  readonly resource: Readonly<Record<string, string>>;
  /** Methods that spans may name; others are `_OTHER`. Undefined: all that are forwarded. */
  readonly knownMethods: readonly string[] | undefined;
  readonly attributesMax: number;
  readonly attributeLengthMax: number;
}

export interface TelemetrySettingsResult {
  readonly settings: TelemetrySettings;
  /** Sentences for the log, each naming its variable. */
  readonly warnings: readonly string[];
}

/** Reads the OTEL_* variables of `env`; unset and empty are the same. */
export function readTelemetrySettings(env: Environment): TelemetrySettingsResult {
  const reader = new EnvReader(env);
  readUnsupported(reader);
  const settings: TelemetrySettings = {
    exporter: readExporter(reader),
    sampler: readSampler(reader),
    batch: readBatch(reader),
    otlp: readOtlp(reader),
    resource: readResource(reader),
    knownMethods: reader
      .text('OTEL_INSTRUMENTATION_HTTP_KNOWN_METHODS')
      ?.split(',')
      .map((name) => name.trim()),
    attributesMax: reader.count('OTEL_SPAN_ATTRIBUTE_COUNT_LIMIT', 128),
    attributeLengthMax: reader.count(
      'OTEL_SPAN_ATTRIBUTE_VALUE_LENGTH_LIMIT',
      Number.POSITIVE_INFINITY,
    ),
  };
  return { settings, warnings: reader.warnings };
}

function readExporter(reader: EnvReader): TelemetrySettings['exporter'] {
  if (reader.text('OTEL_SDK_DISABLED')?.toLowerCase() === 'true') return 'none';
  return reader.choice('OTEL_TRACES_EXPORTER', ['otlp', 'console', 'none'], 'otlp');
}

const DEFAULT_RATIO = 0.01;

function readSampler(reader: EnvReader): SamplerSettings {
  const name = reader.choice(
    'OTEL_TRACES_SAMPLER',
    [
      'always_on',
      'always_off',
      'traceidratio',
      'parentbased_always_on',
      'parentbased_always_off',
      'parentbased_traceidratio',
    ],
    'parentbased_traceidratio',
  );
  const isParentBased = name.startsWith('parentbased_');
  if (name.endsWith('always_on')) return { isParentBased, ratio: 1 };
  if (name.endsWith('always_off')) return { isParentBased, ratio: 0 };
  // The specification's ratio without an argument is 1; ours is 0.01 unless a sampler was named.
  const isNamed = reader.text('OTEL_TRACES_SAMPLER')?.toLowerCase() === name;
  const unset = isNamed ? 1 : DEFAULT_RATIO;
  return { isParentBased, ratio: reader.share('OTEL_TRACES_SAMPLER_ARG', unset) };
}

function readBatch(reader: EnvReader): BatchSettings {
  const limits = telemetryLimits;
  const queueMax = reader.positive('OTEL_BSP_MAX_QUEUE_SIZE', limits.spanQueueMax);
  const batchMax = reader.positive(
    'OTEL_BSP_MAX_EXPORT_BATCH_SIZE',
    Math.min(limits.spanBatchMax, queueMax),
  );
  if (batchMax > queueMax) {
    reader.warn('OTEL_BSP_MAX_EXPORT_BATCH_SIZE', 'is over OTEL_BSP_MAX_QUEUE_SIZE, which is used');
  }
  return {
    delayMs: reader.count('OTEL_BSP_SCHEDULE_DELAY', limits.exportDelayMs),
    timeoutMs: reader.positive('OTEL_BSP_EXPORT_TIMEOUT', limits.exportTimeoutMs),
    queueMax,
    batchMax: Math.min(batchMax, queueMax),
  };
}

const DEFAULT_ENDPOINT = 'http://localhost:4318';
const DEFAULT_OTLP_TIMEOUT_MS = 10_000;

function readOtlp(reader: EnvReader): OtlpSettings {
  const certificates: Record<string, string> = {};
  for (const signal of ['', 'TRACES_']) {
    for (const kind of ['CERTIFICATE', 'CLIENT_KEY', 'CLIENT_CERTIFICATE']) {
      const name = `OTEL_EXPORTER_OTLP_${signal}${kind}`;
      const file = reader.text(name);
      if (file !== undefined) certificates[name] = file;
    }
  }
  const traces = 'OTEL_EXPORTER_OTLP_TRACES_';
  const all = 'OTEL_EXPORTER_OTLP_';
  return {
    url: reader.url(`${traces}ENDPOINT`) ?? baseUrl(reader),
    headers: { ...reader.pairs(`${all}HEADERS`), ...reader.pairs(`${traces}HEADERS`) },
    timeoutMs: reader.positive(
      `${traces}TIMEOUT`,
      reader.positive(`${all}TIMEOUT`, DEFAULT_OTLP_TIMEOUT_MS),
    ),
    compression: reader.choice(
      `${traces}COMPRESSION`,
      ['none', 'gzip'],
      reader.choice(`${all}COMPRESSION`, ['none', 'gzip'], 'none'),
    ),
    certificates,
  };
}

/** The signal's path is appended to the general endpoint, never to the signal's own. */
function baseUrl(reader: EnvReader): string {
  const base = new URL(reader.url('OTEL_EXPORTER_OTLP_ENDPOINT') ?? DEFAULT_ENDPOINT);
  base.pathname = `${base.pathname.replace(/\/$/, '')}/v1/traces`;
  return base.href;
}

function readResource(reader: EnvReader): Record<string, string> {
  const resource = reader.pairs('OTEL_RESOURCE_ATTRIBUTES');
  const name = reader.text('OTEL_SERVICE_NAME') ?? resource['service.name'];
  return { ...resource, 'service.name': name ?? 'unknown_service:node' };
}

function readUnsupported(reader: EnvReader): void {
  for (const name of ['OTEL_EXPORTER_OTLP_TRACES_PROTOCOL', 'OTEL_EXPORTER_OTLP_PROTOCOL']) {
    const protocol = reader.text(name);
    if (protocol !== undefined && protocol !== 'http/json') {
      reader.warn(name, `is ${protocol}; only http/json is spoken (port 4318), and it is used`);
    }
  }
  for (const propagator of (reader.text('OTEL_PROPAGATORS') ?? '').split(',')) {
    const name = propagator.trim();
    if (name !== '' && name !== 'tracecontext' && name !== 'baggage') {
      reader.warn('OTEL_PROPAGATORS', `names ${name}; only tracecontext and baggage are passed on`);
    }
  }
}
