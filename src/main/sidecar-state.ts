/**
 * What the admin and metrics ports show of a sidecar: plain data, read when it is asked for.
 *
 * It joins what the rooms know (proxy, configuration feed, telemetry, process) and counts nothing
 * itself. Label values here come from closed lists only.
 */

import type { AdminState } from '../admin/admin-server.ts';
import { trafficLimits } from '../model/limits.ts';
import { renderPrometheus } from '../telemetry/prometheus.ts';
import { isLogLevel, logLevels } from './log.ts';
import type { Sidecar } from './sidecar.ts';
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
      diagnostics: sidecar.diagnostics,
      table: feed.table,
    }),
    clusters: () => proxy.snapshot().clusters,
    connections: () => {
      const { connections, counts, isDraining, listeners } = proxy.snapshot();
      const open = proxy.connections(trafficLimits.connectionsShownMax);
      return { ...connections, ...counts, isDraining, listeners, open };
    },
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
    names: { known: telemetry.names.size, refused: telemetry.names.refused },
    memory: { rssBytes: memory.rss, heapUsedBytes: memory.heapUsed },
  };
}

/** The text of /metrics: requests, connections and spans of the registry, then our own. */
export function metricsPage(sidecar: Sidecar): string {
  return renderPrometheus(sidecar.telemetry.metrics) + ownMetrics(sidecar);
}

function ownMetrics({ clock, diagnostics, feed, proxy, telemetry }: Sidecar): string {
  const { applied, unchanged, refused } = feed.counts;
  const cpu = process.cpuUsage();
  const errors = diagnostics.filter(({ severity }) => severity === 'error').length;
  return [
    family('tracecar_build_info', 'gauge', 'Release of this proxy.', [
      [`version="${tracecarVersion()}",node="${process.versions.node}"`, 1],
    ]),
    family('tracecar_config_generation', 'gauge', 'Routing tables put in force since start.', [
      ['', feed.table?.generation ?? 0],
    ]),
    family('tracecar_config_reloads_total', 'counter', 'Changed files that were read, by result.', [
      ['result="applied"', applied],
      ['result="unchanged"', unchanged],
      ['result="refused"', refused],
    ]),
    family('tracecar_config_resources', 'gauge', 'Resources in force; 0: everything passes.', [
      ['', feed.resources],
    ]),
    family('tracecar_config_diagnostics', 'gauge', 'Complaints about the files as they are.', [
      ['severity="error"', errors],
      ['severity="warning"', diagnostics.length - errors],
    ]),
    family(
      'tracecar_listeners_unopened',
      'gauge',
      'Listeners of the table that cannot be opened.',
      [['', proxy.unopened().length]],
    ),
    family(
      'tracecar_upgrades_total',
      'counter',
      'Connections that became tunnels after 101 (WebSocket and others).',
      [['', proxy.counts.switches]],
    ),
    family('tracecar_names_refused_total', 'counter', 'Look-ups of names that spans cannot show.', [
      ['', telemetry.names.refused],
    ]),
    family('process_resident_memory_bytes', 'gauge', 'Memory of this process.', [
      ['', process.memoryUsage.rss()],
    ]),
    family('process_cpu_seconds_total', 'counter', 'CPU time of this process, all threads.', [
      ['', (cpu.user + cpu.system) / 1e6],
    ]),
    family('process_start_time_seconds', 'gauge', 'When this process started.', [
      ['', Math.round(clock.epochMs) / 1000],
    ]),
  ].join('');
}

/** One family in the text format; each sample is its labels and its value. */
function family(
  name: string,
  type: 'counter' | 'gauge',
  help: string,
  samples: readonly (readonly [labels: string, value: number])[],
): string {
  const lines = samples.map(([labels, value]) => `${name}${labels && `{${labels}}`} ${value}\n`);
  return `# HELP ${name} ${help}\n# TYPE ${name} ${type}\n${lines.join('')}`;
}
