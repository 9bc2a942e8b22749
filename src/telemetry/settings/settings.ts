/**
 * Telemetry settings: OTEL_* variables (OpenTelemetry specification 1.60) as plain data.
 *
 * A value that cannot be read is a warning and then as if it were not set, as the specification
 * asks; nothing here throws. Our own defaults where they differ: parentbased_traceidratio 0.01 as the
 * sampler, http/json as the protocol, metrics every 5 s. Header values are secrets: no warning quotes
 * one. What no such variable says comes beside them, as TracingChoices.
 */

import { telemetryLimits } from '../../model/telemetry-limits.ts';
import { type CapturedHeaders, readCapturedHeaders } from './captured-headers.ts';
import { type Environment, EnvReader, isToken } from './env-reader.ts';
import {
  hasOwnDestination,
  type OtlpSettings,
  readOtlp,
  warnOfMetricsProtocol,
} from './otlp-settings.ts';
import { type TracingChoices, usualChoices } from './tracing-choices.ts';

/** Context headers by bit. The ones that a request came with are written beside those that are set. */
export const Propagator = { W3c: 1, B3: 2, B3Multi: 4, Uber: 8, Baggage: 16 } as const;

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

export interface MetricsSettings {
  /** `none` also when OTEL_SDK_DISABLED is true. The page for Prometheus is there either way. */
  readonly exporter: 'otlp' | 'none';
  readonly otlp: OtlpSettings;
  /** Between two exports, and at most for one. */
  readonly intervalMs: number;
  readonly timeoutMs: number;
}

export interface TelemetrySettings extends TracingChoices {
  /** `none` also when OTEL_SDK_DISABLED is true. Then no trace is started and none is changed. */
  readonly exporter: 'otlp' | 'otlp/stdout' | 'console' | 'none';
  /** Bits of Propagator; 0: trace context is neither read nor written. */
  readonly propagators: number;
  readonly metrics: MetricsSettings;
  /** Whether histograms name an exported trace. */
  readonly exemplars: 'trace_based' | 'always_off';
  /** By kind of span: `inbound` of SERVER, `outbound` of CLIENT spans. */
  readonly capturedHeaders: Readonly<Record<'inbound' | 'outbound', CapturedHeaders>>;
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
export function readTelemetrySettings(
  env: Environment,
  choices: TracingChoices = usualChoices,
): TelemetrySettingsResult {
  const reader = new EnvReader(env);
  const exporter = readExporter(reader);
  const settings: TelemetrySettings = {
    ...choices,
    exporter,
    propagators: readPropagators(reader),
    sampler: readSampler(reader),
    batch: readBatch(reader),
    otlp: readOtlp(reader, 'traces'),
    metrics: readMetrics(reader, exporter),
    exemplars: readExemplars(reader),
    capturedHeaders: {
      inbound: readCapturedHeaders(reader, 'SERVER'),
      outbound: readCapturedHeaders(reader, 'CLIENT'),
    },
    resource: readResource(reader),
    knownMethods: readMethods(reader),
    attributesMax: reader.count(
      'OTEL_SPAN_ATTRIBUTE_COUNT_LIMIT',
      reader.count('OTEL_ATTRIBUTE_COUNT_LIMIT', 128),
    ),
    attributeLengthMax: reader.count(
      'OTEL_SPAN_ATTRIBUTE_VALUE_LENGTH_LIMIT',
      reader.count('OTEL_ATTRIBUTE_VALUE_LENGTH_LIMIT', Number.POSITIVE_INFINITY),
    ),
  };
  return { settings, warnings: reader.warnings };
}

function readExporter(reader: EnvReader): TelemetrySettings['exporter'] {
  if (isDisabled(reader)) return 'none';
  const exporters = ['otlp', 'otlp/stdout', 'console', 'none'] as const;
  return reader.choice('OTEL_TRACES_EXPORTER', exporters, 'otlp');
}

function isDisabled(reader: EnvReader): boolean {
  return reader.flag('OTEL_SDK_DISABLED');
}

function readMethods(reader: EnvReader): readonly string[] | undefined {
  const variable = 'OTEL_INSTRUMENTATION_HTTP_KNOWN_METHODS';
  const text = reader.text(variable);
  if (text === undefined) return undefined;
  const names = text.split(',').map((name) => name.trim());
  const methods = names.filter((name) => name !== '');
  if (methods.length > 0 && methods.every(isToken)) return methods;
  reader.warn(variable, `is ${text}, not a list of methods (write GET,POST); it is ignored`);
  return undefined;
}

const propagatorNames: ReadonlyMap<string, number> = new Map([
  ['tracecontext', Propagator.W3c],
  ['baggage', Propagator.Baggage],
  ['b3', Propagator.B3],
  ['b3multi', Propagator.B3Multi],
  ['jaeger', Propagator.Uber],
]);

function readPropagators(reader: EnvReader): number {
  const variable = 'OTEL_PROPAGATORS';
  const names = (reader.text(variable) ?? 'tracecontext,baggage').toLowerCase().split(',');
  const given = names.map((name) => name.trim()).filter((name) => name !== '');
  if (given.every((name) => name === 'none')) return 0;
  let mask = 0;
  for (const name of given) {
    const bit = propagatorNames.get(name);
    if (bit !== undefined) mask |= bit;
    else if (name === 'none') reader.warn(variable, 'names none beside others; none is ignored');
    else {
      const known = [...propagatorNames.keys()].join(', ');
      reader.warn(variable, `names ${name}, not one of ${known}, none; it is ignored`);
    }
  }
  return mask === 0 ? Propagator.W3c | Propagator.Baggage : mask;
}

/** Sent where traces are sent; `prometheus` is what is always there, the metrics port. */
function readMetrics(
  reader: EnvReader,
  traces: TelemetrySettings['exporter'],
): TelemetrySettings['metrics'] {
  const isUsual = traces === 'otlp' && hasOwnDestination(reader, 'metrics');
  const usual = isUsual ? 'otlp' : 'none';
  const named = reader.choice('OTEL_METRICS_EXPORTER', ['otlp', 'prometheus', 'none'], usual);
  const limits = telemetryLimits;
  const exporter = named === 'otlp' && !isDisabled(reader) ? 'otlp' : 'none';
  if (exporter === 'otlp') warnOfMetricsProtocol(reader);
  return {
    exporter,
    otlp: readOtlp(reader, 'metrics'),
    intervalMs: reader.milliseconds('OTEL_METRIC_EXPORT_INTERVAL', limits.metricIntervalMs),
    timeoutMs: reader.milliseconds('OTEL_METRIC_EXPORT_TIMEOUT', limits.exportTimeoutMs),
  };
}

function readExemplars(reader: EnvReader): TelemetrySettings['exemplars'] {
  const variable = 'OTEL_METRICS_EXEMPLAR_FILTER';
  const filters = ['trace_based', 'always_off', 'always_on'] as const;
  const filter = reader.choice(variable, filters, 'trace_based');
  if (filter !== 'always_on') return filter;
  reader.warn(variable, 'is always_on; only exported traces are named, as with trace_based');
  return 'trace_based';
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
    delayMs: reader.milliseconds('OTEL_BSP_SCHEDULE_DELAY', limits.exportDelayMs, 0),
    timeoutMs: reader.milliseconds('OTEL_BSP_EXPORT_TIMEOUT', limits.exportTimeoutMs),
    queueMax,
    batchMax: Math.min(batchMax, queueMax),
  };
}

function readResource(reader: EnvReader): Record<string, string> {
  const resource = reader.pairs('OTEL_RESOURCE_ATTRIBUTES');
  const name = reader.text('OTEL_SERVICE_NAME') ?? resource['service.name'];
  return { ...resource, 'service.name': name ?? 'unknown_service:node' };
}
