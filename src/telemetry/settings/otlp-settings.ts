/**
 * OTLP settings: where each signal goes and how, from the OTEL_EXPORTER_OTLP_* variables.
 *
 * A signal's own variable beats the general one. The general endpoint gets the signal's path appended,
 * the signal's own never does (OpenTelemetry specification, OTLP exporter).
 */

import type { EnvReader } from './env-reader.ts';

export interface OtlpSettings {
  readonly protocol: 'http/json' | 'http/protobuf';
  /** Absolute http or https URL, path included. */
  readonly url: string;
  readonly headers: Readonly<Record<string, string>>;
  readonly timeoutMs: number;
  /** Unless it is named: none to loopback, where bytes cost nothing, and gzip elsewhere. */
  readonly compression: 'none' | 'gzip';
  /** Variables that name certificate files: the exporter reads those itself. */
  readonly certificates: Readonly<Record<string, string>>;
}

export type Signal = 'traces' | 'metrics';

const all = 'OTEL_EXPORTER_OTLP_';
const defaultEndpoint = 'http://localhost:4318';
const defaultTimeoutMs = 10_000;

/** What holds for one signal. Metrics are always JSON: only a trace's bytes are our own. */
export function readOtlp(reader: EnvReader, signal: Signal): OtlpSettings {
  const own = `${all}${signal.toUpperCase()}_`;
  const url = reader.url(`${own}ENDPOINT`) ?? baseUrl(reader, signal);
  const usual = isLoopback(new URL(url).hostname) ? 'none' : 'gzip';
  const ways = ['none', 'gzip'] as const;
  return {
    protocol: signal === 'traces' ? readProtocol(reader, own).protocol : 'http/json',
    url,
    headers: { ...reader.headers(`${all}HEADERS`), ...reader.headers(`${own}HEADERS`) },
    timeoutMs: reader.milliseconds(
      `${own}TIMEOUT`,
      reader.milliseconds(`${all}TIMEOUT`, defaultTimeoutMs),
    ),
    compression: reader.choice(
      `${own}COMPRESSION`,
      ways,
      reader.choice(`${all}COMPRESSION`, ways, usual),
    ),
    certificates: readCertificates(reader, own),
  };
}

/** Whether somebody has said where `signal` goes, or nobody has said where anything goes. */
export function hasOwnDestination(reader: EnvReader, signal: Signal): boolean {
  const isNamed = (part: string) => reader.url(`${all}${part}ENDPOINT`) !== undefined;
  if (isNamed('') || isNamed(`${signal.toUpperCase()}_`)) return true;
  return !isNamed('TRACES_') && !isNamed('METRICS_');
}

/** A warning when another protocol than JSON is asked of metrics that are sent. */
export function warnOfMetricsProtocol(reader: EnvReader): void {
  const { variable, protocol } = readProtocol(reader, `${all}METRICS_`);
  if (protocol === 'http/json') return;
  reader.warn(variable, `is ${protocol}; metrics are sent as http/json all the same`);
}

interface ProtocolChoice {
  readonly variable: string;
  readonly protocol: OtlpSettings['protocol'];
}

function readProtocol(reader: EnvReader, own: string): ProtocolChoice {
  const variable = `${reader.text(`${own}PROTOCOL`) === undefined ? all : own}PROTOCOL`;
  const text = reader.text(variable)?.toLowerCase() ?? 'http/json';
  if (text === 'http/protobuf' || text === 'http/json') return { variable, protocol: text };
  const likely =
    text === 'grpc'
      ? 'is grpc, which is not spoken: collectors take http/protobuf and http/json on port 4318'
      : `is ${text}, not http/json or http/protobuf`;
  reader.warn(variable, `${likely}; http/json is used`);
  return { variable, protocol: 'http/json' };
}

function readCertificates(reader: EnvReader, own: string): Record<string, string> {
  const certificates: Record<string, string> = {};
  for (const prefix of [all, own]) {
    for (const kind of ['CERTIFICATE', 'CLIENT_KEY', 'CLIENT_CERTIFICATE']) {
      const file = reader.pemFile(`${prefix}${kind}`);
      if (file !== undefined) certificates[`${prefix}${kind}`] = file;
    }
  }
  return certificates;
}

function baseUrl(reader: EnvReader, signal: Signal): string {
  const base = new URL(reader.url(`${all}ENDPOINT`) ?? defaultEndpoint);
  base.pathname = `${base.pathname.replace(/\/$/, '')}/v1/${signal}`;
  return base.href;
}

/** By its text: nothing is looked up here. */
function isLoopback(hostname: string): boolean {
  return hostname === 'localhost' || hostname === '[::1]' || /^127\.[\d.]+$/.test(hostname);
}
