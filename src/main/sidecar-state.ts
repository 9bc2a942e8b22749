/**
 * What the admin and metrics ports show of a sidecar: plain data, read when it is asked for.
 *
 * It joins what the rooms know (proxy, configuration feed, telemetry, process) and counts nothing
 * itself. Label values here come from closed lists only.
 */

import type { AdminState } from '../admin/admin-server.ts';
import { trafficLimits } from '../model/limits.ts';
import type { RoutingTable } from '../model/routing-table.ts';
import { usualSecurity } from '../model/security.ts';
import type { ServedCertificate } from '../proxy/tls/tls-files.ts';
import { addKeepMetrics } from '../telemetry/keep/keep-report.ts';
import type { ExemplarEntry } from '../telemetry/metrics/exemplars.ts';
import type { ClusterLabels } from '../telemetry/metrics/istio-metrics.ts';
import { metricIdentity } from '../telemetry/metrics/metric-identity.ts';
import { type MetricText, printLabels, type TextFormat } from '../telemetry/metrics/metric-text.ts';
import { renderParts } from '../telemetry/metrics/prometheus.ts';
import { isLogLevel, logLevels } from './log.ts';
import type { Sidecar } from './sidecar.ts';
import type { SidecarIdentity } from './sidecar-identity.ts';
import type { StrictReport } from './strict-report.ts';
import { tracecarVersion } from './version.ts';

/** The closures behind the admin port. */
export function adminState(sidecar: Sidecar): AdminState {
  const { feed, log, proxy, settings } = sidecar;
  return {
    whyNotReady: () => sidecar.whyNotReady,
    config: () => ({
      generation: feed.table?.generation ?? 0,
      namespace: settings.namespace,
      labels: settings.labels,
      paths: settings.config,
      identity: sidecar.identity?.state(),
      diagnostics: sidecar.diagnostics,
      table: feed.table,
    }),
    clusters: () => proxy.snapshot().clusters,
    connections: () => {
      const { connections, counts, isDraining, listeners } = proxy.snapshot();
      const open = proxy.connections(trafficLimits.connectionsShownMax);
      return { ...connections, ...counts, isDraining, listeners, open };
    },
    plaintextCallers: () => plaintextReport(sidecar),
    stats: () => stats(sidecar),
    logLevel: () => log.level,
    setLogLevel: (level) => {
      if (!isLogLevel(level)) return false;
      log.level = level;
      return true;
    },
    logLevels,
    isDraining: () => sidecar.whyNotReady === 'draining',
    leave: () => sidecar.leave(),
  };
}

function plaintextReport({ clock, feed, identity, proxy, settings }: Sidecar): StrictReport {
  const { mode, origin, ports } = feed.table?.security ?? usualSecurity;
  return {
    namespace: settings.namespace,
    labels: settings.labels,
    identity: identity?.mesh.current?.id ?? '',
    sinceMs: Math.round(clock.epochMs),
    security: { mode, origin, ports },
    ...proxy.plaintextCallers(),
  };
}

function stats(sidecar: Sidecar) {
  const { feed, telemetry, whyNotReady } = sidecar;
  const memory = process.memoryUsage();
  return {
    version: tracecarVersion(),
    node: process.versions.node,
    uptimeSeconds: Math.round(sidecar.clock.now() / 1000),
    ready: whyNotReady === '',
    generation: feed.table?.generation ?? 0,
    configuration: {
      ...feed.counts,
      resources: feed.resources,
      diagnostics: sidecar.diagnostics.length,
    },
    spans: telemetry.counts(),
    keep: telemetry.keepReport(),
    names: { known: telemetry.names.size, refused: telemetry.names.refused },
    memory: { rssBytes: memory.rss, heapUsedBytes: memory.heapUsed },
  };
}

/**
 * The text of /metrics in parts: requests, connections and spans of the registry, then our own.
 *
 * @param isMerged another process has its `process_*` on the same page: ours are left out
 */
export function metricsPage(
  sidecar: Sidecar,
  format: TextFormat = 'prometheus',
  exemplars: readonly ExemplarEntry[] = [],
  isMerged = false,
): Iterable<string> {
  const { feed, identity, settings, telemetry, telemetrySettings } = sidecar;
  const principal = identity?.mesh.current?.id;
  const { batch, resource, knownMethods } = telemetrySettings;
  return renderParts(
    telemetry.metrics,
    {
      format,
      identity: metricIdentity(resource, settings.labels, knownMethods, principal),
      names: telemetry.names.names(),
      clusters: clusterLabels(feed.table),
      exemplars,
      queueMax: batch.queueMax,
    },
    (text) => addOwnMetrics(text, sidecar, isMerged),
  );
}

/** What all endpoints of a cluster agree on. */
function clusterLabels(table: RoutingTable | undefined): ReadonlyMap<string, ClusterLabels> {
  const found = new Map<string, ClusterLabels>();
  for (const { name, endpoints } of table?.clusters ?? []) {
    const common = (key: string) => {
      const value = endpoints[0]?.labels[key] ?? '';
      return endpoints.every(({ labels }) => labels[key] === value) ? value : '';
    };
    found.set(name, { app: common('app'), version: common('version') });
  }
  return found;
}

function addOwnMetrics(
  text: MetricText,
  { clock, diagnostics, feed, identity, proxy, telemetry }: Sidecar,
  isMerged: boolean,
): void {
  const { applied, unchanged, refused } = feed.counts;
  const cpu = process.cpuUsage();
  const errors = diagnostics.filter(({ severity }) => severity === 'error').length;
  const version = `version="${tracecarVersion()}",node="${process.versions.node}"`;
  const families: Family[] = [
    ['tracecar_build_info', 'gauge', 'Release of this proxy.', [[version, 1]]],
    [
      'tracecar_config_generation',
      'gauge',
      'Routing tables put in force since start.',
      [['', feed.table?.generation ?? 0]],
    ],
    [
      'tracecar_config_reloads_total',
      'counter',
      'Changed files that were read, by result.',
      [
        ['result="applied"', applied],
        ['result="unchanged"', unchanged],
        ['result="refused"', refused],
      ],
    ],
    [
      'tracecar_config_resources',
      'gauge',
      'Resources in force; 0: everything passes.',
      [['', feed.resources]],
    ],
    [
      'tracecar_config_diagnostics',
      'gauge',
      'Complaints about the files as they are.',
      [
        ['severity="error"', errors],
        ['severity="warning"', diagnostics.length - errors],
      ],
    ],
    [
      'tracecar_listeners_unopened',
      'gauge',
      'Listeners of the table that cannot be opened.',
      [['', proxy.unopened().length]],
    ],
    [
      'tracecar_served_cert_seconds_left',
      'gauge',
      'Until a certificate ends that downstreams are shown; 0: it has ended.',
      servedSamples(proxy.served(), clock.epochMs + clock.now()),
    ],
    [
      'tracecar_upgrades_total',
      'counter',
      'Connections that became tunnels after 101 (WebSocket and others).',
      [['', proxy.counts.switches]],
    ],
    [
      'tracecar_names_refused_total',
      'counter',
      'Look-ups of names that spans cannot show.',
      [['', telemetry.names.refused]],
    ],
    [
      'process_resident_memory_bytes',
      'gauge',
      'Memory of this process.',
      [['', process.memoryUsage.rss()]],
    ],
    [
      'process_cpu_seconds_total',
      'counter',
      'CPU time of this process, all threads.',
      [['', (cpu.user + cpu.system) / 1e6]],
    ],
    [
      'process_start_time_seconds',
      'gauge',
      'When this process started.',
      [['', Math.round(clock.epochMs) / 1000]],
    ],
  ];
  if (identity !== undefined) families.push(...identityFamilies(identity));
  for (const [name, type, help, samples] of families) {
    if (isMerged && name.startsWith('process_')) continue;
    text.family(name, type, help);
    for (const [labels, value] of samples) text.sample(name, labels, value);
  }
  const kept = telemetry.keepReport();
  if (kept !== undefined) addKeepMetrics(text, kept);
}

/** Listeners with other terms may share a file. */
function servedSamples(served: readonly ServedCertificate[], wallMs: number): Family[3] {
  const left = new Map(
    served.map(({ file, notAfterMs }) => [file, Math.max(0, (notAfterMs - wallMs) / 1_000)]),
  );
  return [...left].map(([file, seconds]) => [printLabels([['file', file]]), Math.round(seconds)]);
}

/** Absent where there is no identity: a 0 would be an alarm. */
function identityFamilies({ counts, mesh, secondsLeft }: SidecarIdentity): readonly Family[] {
  return [
    [
      'tracecar_cert_seconds_left',
      'gauge',
      'Until the certificate of this workload ends; 0: none, or it has ended.',
      [['', secondsLeft]],
    ],
    [
      'tracecar_identity_generation',
      'gauge',
      'Sets of certificate and roots taken since start.',
      [['', mesh.current?.generation ?? 0]],
    ],
    [
      'tracecar_identity_renewals_total',
      'counter',
      'Attempts to get a certificate, by result.',
      [
        ['result="granted"', counts.granted],
        ['result="failed"', counts.failed],
      ],
    ],
  ];
}

/** Each sample is its labels, as they are printed, and its value. */
type Family = readonly [
  name: string,
  type: 'counter' | 'gauge',
  help: string,
  samples: readonly (readonly [labels: string, value: number])[],
];
