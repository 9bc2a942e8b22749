/**
 * What `tracecar proxy` is told by flags and `TRACECAR_*` variables (DESIGN.md section 5.2).
 *
 * Plain data in, plain data out: nothing is opened here, and OTEL_* variables are telemetry's.
 * A flag of a later release is unknown, never accepted and ignored.
 */

import { isIP } from 'node:net';
import { type AppMetricsPage, readAppMetrics } from '../admin/app-metrics.ts';
import { type Probe, readProbes } from '../admin/probe-definition.ts';
import { usualRootNamespace } from '../config/world/world.ts';
import { trafficLimits } from '../model/limits.ts';
import { telemetryLimits } from '../model/telemetry-limits.ts';
import type { TracingChoices } from '../telemetry/settings/tracing-choices.ts';
import { type Environment, type Flag, readFlags, UsageError } from './flags.ts';
import { type GatewayChoices, gatewayFlags, readGatewayFlags } from './gateway-flags.ts';
import { type IdentityChoices, identityFlags, readIdentityFlags } from './identity-flags.ts';
import { type LogLevel, logLevels } from './log.ts';
import { readSocketAddress, type SocketAddress } from './socket-address.ts';
import { readTracingFlags, tracingFlags } from './tracing-flags.ts';

export const proxyFlags: readonly Flag[] = [
  {
    name: 'config',
    value: 'PATH',
    repeatable: true,
    isPath: true,
    otherwise: '',
    help: 'YAML file or folder of resources; watched. Give it again for more.',
  },
  {
    name: 'namespace',
    value: 'NAME',
    otherwise: 'default',
    help: 'of this workload, of short host names, and of documents that name none',
  },
  {
    name: 'labels',
    value: 'K=V,K=V',
    otherwise: '',
    help: 'labels of this workload: they choose its Sidecar resource',
  },
  {
    name: 'root-namespace',
    value: 'NAME',
    otherwise: usualRootNamespace,
    help: 'whose policies without a selector hold for all namespaces',
  },
  {
    name: 'capture',
    value: 'none|redirect',
    choices: ['none', 'redirect'],
    otherwise: 'none',
    help: "redirect: takes the pod's connections as `tracecar init` redirects them",
  },
  {
    name: 'inbound',
    value: 'PORT',
    otherwise: '15006',
    help: 'port for captured connections to the pod',
  },
  {
    name: 'outbound',
    value: 'PORT',
    otherwise: '15001',
    help: 'port for captured connections from the pod; loopback only',
  },
  {
    name: 'admin',
    value: 'ADDR:PORT',
    otherwise: '127.0.0.1:15000',
    help: 'admin port; loopback only',
  },
  {
    name: 'health',
    value: 'ADDR:PORT',
    otherwise: '0.0.0.0:15021',
    help: 'health port: /healthz/ready, /healthz/live, probes, /drain',
  },
  {
    name: 'metrics',
    value: 'ADDR:PORT',
    otherwise: '0.0.0.0:15090',
    help: 'metrics port: /metrics for Prometheus',
  },
  {
    name: 'app-metrics',
    value: 'PORT/PATH',
    otherwise: '',
    help: "the application's page of metrics, to be merged with ours",
  },
  {
    name: 'merged-metrics',
    value: 'ADDR:PORT',
    otherwise: '0.0.0.0:15020',
    help: 'port of both, for scrapers that have no mTLS; with --app-metrics',
  },
  {
    name: 'drain-seconds',
    value: 'SECONDS',
    otherwise: String(trafficLimits.drainMs / 1000),
    help: 'time that work under way may take after SIGTERM',
  },
  {
    name: 'warm-up-ms',
    value: 'MILLISECONDS',
    otherwise: String(trafficLimits.warmUpMs),
    help: 'at most this long the hot path is warmed before ready; 0 switches it off',
  },
  {
    name: 'log-level',
    value: 'LEVEL',
    choices: logLevels,
    otherwise: 'info',
    help: 'least level that is written to stderr',
  },
  {
    name: 'access-log',
    value: 'off|json',
    choices: ['off', 'json'],
    otherwise: 'off',
    help: 'one JSON line a request on stdout',
  },
  {
    name: 'record-ring',
    value: 'BYTES',
    otherwise: `${telemetryLimits.recordRingBytes / 1024}k`,
    help: 'memory for records and as much for their texts; 64k to 256m',
  },
  ...identityFlags,
  ...gatewayFlags,
  ...tracingFlags,
];

export interface ProxySettings extends IdentityChoices, GatewayChoices {
  readonly config: readonly string[];
  readonly namespace: string;
  readonly labels: Readonly<Record<string, string>>;
  readonly rootNamespace: string;
  readonly capture: 'none' | 'redirect';
  /** Where captured connections arrive. */
  readonly capturePorts: { readonly inbound: number; readonly outbound: number };
  /** Addresses of this pod, the first one for questions to its application; empty: ask the system. */
  readonly podAddresses: readonly string[];
  readonly probes: readonly Probe[];
  /** What `/drain` of the health port asks for; empty: it refuses everybody. */
  readonly drainSecret: string;
  /** Where to leave one of our own making when there is none; empty: nowhere. */
  readonly drainSecretFile: string;
  readonly admin: SocketAddress;
  readonly health: SocketAddress;
  readonly metrics: SocketAddress;
  /** Absent: nothing is merged, and its port is not opened. */
  readonly merged: { readonly at: SocketAddress; readonly page: AppMetricsPage } | undefined;
  readonly drainMs: number;
  /** The longest warm-up; 0: none. */
  readonly warmUpMs: number;
  readonly logLevel: LogLevel;
  readonly accessLog: 'off' | 'json';
  readonly recordRingBytes: number;
  readonly tracing: TracingChoices;
}

/** Reads flags and environment. Throws UsageError with one line about the first mistake. */
export function readProxySettings(
  args: readonly string[],
  environment: Environment,
): ProxySettings {
  const { values } = readFlags(proxyFlags, args, environment);
  const text = (name: string) =>
    values.get(name)?.[0] ?? proxyFlags.find((flag) => flag.name === name)!.otherwise;
  const config = values.get('config') ?? [];
  const capture = text('capture') as 'none' | 'redirect';
  if (config.length === 0 && capture === 'none') {
    throw new UsageError(
      'needs --config PATH, a YAML file or folder; a first one to copy is examples/ab-rollout',
    );
  }
  const admin = addressOf('admin', text('admin'));
  if (!isLoopback(admin.address)) {
    throw new UsageError(
      `--admin is for this machine only and ${admin.address} is not loopback; use 127.0.0.1:${admin.port}`,
    );
  }
  const podAddresses = readAddresses(environment.POD_IPS ?? '');
  const labels = readLabels(text('labels'));
  // In a pod the downward API says it, and what is typed wins.
  const namespace = readName(
    'namespace',
    values.get('namespace')?.[0] ?? (environment.POD_NAMESPACE || text('namespace')),
  );
  return {
    config,
    namespace,
    ...readIdentityFlags(values, namespace, environment),
    ...readGatewayFlags(values),
    labels,
    rootNamespace: readName('root-namespace', text('root-namespace')),
    capture,
    capturePorts: {
      inbound: readPort('inbound', text('inbound')),
      outbound: readPort('outbound', text('outbound')),
    },
    podAddresses,
    probes: probesOf(environment.TRACECAR_PROBES ?? ''),
    drainSecret: environment.TRACECAR_DRAIN_SECRET ?? '',
    drainSecretFile: environment.TRACECAR_DRAIN_SECRET_FILE ?? '',
    admin,
    health: podPort('health', values, podAddresses),
    metrics: podPort('metrics', values, podAddresses),
    merged: mergedOf(values, podAddresses),
    drainMs: readDrain(text('drain-seconds')),
    warmUpMs: readWarmUp(text('warm-up-ms')),
    logLevel: text('log-level') as LogLevel,
    accessLog: text('access-log') as 'off' | 'json',
    recordRingBytes: readBytes('record-ring', text('record-ring')),
    tracing: readTracingFlags(values, labels),
  };
}

function addressOf(flag: string, text: string): SocketAddress {
  const { otherwise } = proxyFlags.find(({ name }) => name === flag)!;
  const colon = otherwise.lastIndexOf(':');
  const usual = { address: otherwise.slice(0, colon), port: Number(otherwise.slice(colon + 1)) };
  const { address, port } = readSocketAddress(flag, text, usual);
  // The system may answer ::1 for the name; the documentation says 127.0.0.1.
  return { address: address === 'localhost' ? '127.0.0.1' : address, port };
}

function readPort(flag: string, text: string): number {
  const port = /^\d{1,5}$/.test(text) ? Number(text) : 0;
  if (port >= 1 && port <= 65_535) return port;
  throw new UsageError(`--${flag} is a port from 1 to 65535, not '${text}'`);
}

/** The downward API's `status.podIPs`: separated by commas. */
function readAddresses(text: string): readonly string[] {
  const addresses = text.split(',').map((each) => each.trim());
  const wrong = addresses.find((each) => each !== '' && isIP(each) === 0);
  if (wrong !== undefined) throw new UsageError(`POD_IPS holds '${wrong}', which is no IP address`);
  return addresses.filter((each) => each !== '');
}

function probesOf(text: string): readonly Probe[] {
  const result = readProbes(text);
  if ('problem' in result) throw new UsageError(result.problem);
  return result.probes;
}

/** A pod with an IPv6 address is asked there; `::` takes both families. */
function podPort(
  flag: string,
  values: ReadonlyMap<string, readonly string[]>,
  podAddresses: readonly string[],
): SocketAddress {
  const typed = values.get(flag)?.[0];
  if (typed !== undefined) return addressOf(flag, typed);
  const { otherwise } = proxyFlags.find(({ name }) => name === flag)!;
  const { address, port } = addressOf(flag, otherwise);
  return { address: podAddresses.some((each) => isIP(each) === 6) ? '::' : address, port };
}

function mergedOf(
  values: ReadonlyMap<string, readonly string[]>,
  podAddresses: readonly string[],
): ProxySettings['merged'] {
  const written = values.get('app-metrics')?.[0];
  if (written === undefined) return undefined;
  const page = readAppMetrics(written);
  if ('problem' in page) throw new UsageError(`--app-metrics ${page.problem}`);
  const at = podPort('merged-metrics', values, podAddresses);
  if (at.port !== page.port) return { at, page };
  throw new UsageError(
    `--app-metrics ${written} is the port of --merged-metrics: it would ask itself; name the application's`,
  );
}

function isLoopback(address: string): boolean {
  return /^127\.\d+\.\d+\.\d+$/.test(address) || address === '::1';
}

function readName(flag: string, text: string): string {
  if (/^[a-z0-9]([-a-z0-9]{0,61}[a-z0-9])?$/.test(text)) return text;
  throw new UsageError(`--${flag} is a name of lower-case letters, digits and -, not '${text}'`);
}

export function readLabels(text: string): Record<string, string> {
  const labels: Record<string, string> = Object.create(null);
  for (const pair of text.split(',').filter((each) => each.trim() !== '')) {
    const match = /^\s*([\w./-]+)=([\w.-]*)\s*$/.exec(pair);
    if (match === null) {
      throw new UsageError(`--labels is K=V,K=V such as app=web,version=v1; '${pair}' is not K=V`);
    }
    labels[match[1]!] = match[2]!;
  }
  return labels;
}

function readDrain(text: string): number {
  const seconds = Number(text);
  if (text.trim() !== '' && seconds >= 0 && seconds <= 3600) return seconds * 1000;
  throw new UsageError(`--drain-seconds is 0 to 3600, not '${text}'`);
}

function readWarmUp(text: string): number {
  if (/^\d{1,5}$/.test(text) && Number(text) <= 10_000) return Number(text);
  throw new UsageError(`--warm-up-ms is 0 to 10000, not '${text}'`);
}

function readBytes(flag: string, text: string): number {
  const match = /^(\d{1,9})([km]?)$/i.exec(text);
  const unit = match?.[2]?.toLowerCase();
  const bytes = Number(match?.[1]) * (unit === 'm' ? 1024 * 1024 : unit === 'k' ? 1024 : 1);
  if (bytes >= 64 * 1024 && bytes <= 256 * 1024 * 1024) return bytes;
  throw new UsageError(`--${flag} is a size from 64k to 256m, not '${text}'`);
}
