/**
 * Probes: kubelet's questions to an application, sent through the sidecar and back.
 *
 * A probe of a captured port would meet the sidecar: a TCP probe would always succeed, and with strict
 * mutual TLS every other one would fail. So it asks the sidecar's health port instead, which asks the
 * application: `/app-health/CONTAINER/readyz`. What was there is kept in TRACECAR_PROBES, from which
 * the sidecar reads it and from which `restoreProbes` brings it back. Exec probes and lifecycle hooks
 * stay, and so do probes of another host.
 */

import { ports } from './patch-names.ts';
import { type Container, isObject, type Pod, type Probe, type ProbeAction } from './pod.ts';

/** One value of TRACECAR_PROBES: the action as it was, its port as a number. */
export type ProbeEntry = Readonly<Record<string, unknown>>;
export type ProbeEntries = Readonly<Record<string, ProbeEntry>>;

const probeKinds = [
  ['startupProbe', 'startupz'],
  ['readinessProbe', 'readyz'],
  ['livenessProbe', 'livez'],
] as const;

const actionKinds = ['httpGet', 'tcpSocket', 'grpc'] as const;

/** What the sidecar takes; the kubelet's own timeout is whatever the probe says. */
const timeoutSecondsMax = 3_600;

/** The container with its probes sent through the sidecar, and the entries that describe them. */
export function rewriteProbes(container: Container): {
  readonly container: Container;
  readonly entries: ProbeEntries;
} {
  const changed: Record<string, Probe> = {};
  const entries: Record<string, ProbeEntry> = {};
  for (const [field, word] of probeKinds) {
    const probe = container[field];
    const found = probe ? readAction(container, probe) : undefined;
    if (!probe || found === undefined || 'problem' in found) continue;
    const { [found.kind]: _action, ...rest } = probe;
    const path = pathOf(container.name, word);
    changed[field] = { ...rest, httpGet: { path, port: ports.health, scheme: 'HTTP' } };
    entries[path] = {
      [found.kind]: { ...found.action, port: found.port },
      timeoutSeconds: Math.min(probe.timeoutSeconds || 1, timeoutSecondsMax),
    };
  }
  return { container: { ...container, ...changed }, entries };
}

/** Undoes rewriteProbes; a named port comes back as its number. */
export function restoreProbes(container: Container, entries: ProbeEntries): Container {
  const changed: Record<string, Probe> = {};
  for (const [field, word] of probeKinds) {
    const probe = container[field];
    const path = pathOf(container.name, word);
    if (!probe?.httpGet || probe.httpGet.port !== ports.health || probe.httpGet.path !== path) {
      continue;
    }
    const entry = Object.hasOwn(entries, path) ? entries[path]! : {};
    const kind = actionKinds.find((each) => isObject(entry[each]));
    if (kind === undefined) continue;
    const { httpGet: _action, ...rest } = probe;
    changed[field] = { ...rest, [kind]: entry[kind] as ProbeAction };
  }
  return { ...container, ...changed };
}

/** TRACECAR_PROBES as entries; empty when it is not what we write. */
export function readEntries(text: string | null | undefined): ProbeEntries {
  try {
    const value: unknown = JSON.parse(text ?? '{}');
    if (!isObject(value)) return {};
    return Object.fromEntries(
      Object.entries(value).filter((pair): pair is [string, ProbeEntry] => isObject(pair[1])),
    );
  } catch {
    return {};
  }
}

/** Warnings about probes that cannot be sent through the sidecar. */
export function probeWarnings(pod: Pod): string[] {
  const warnings: string[] = [];
  for (const container of [...(pod.spec.initContainers ?? []), ...(pod.spec.containers ?? [])]) {
    for (const [field] of probeKinds) {
      const probe = container[field];
      const found = probe ? readAction(container, probe) : undefined;
      if (found !== undefined && 'problem' in found) {
        warnings.push(`${field} of container ${container.name} is left as it is: ${found.problem}`);
      }
    }
  }
  return warnings;
}

type ActionKind = (typeof actionKinds)[number];
type FoundAction =
  | { readonly kind: ActionKind; readonly action: ProbeAction; readonly port: number }
  | { readonly problem: string };

/** The network action of a probe; undefined when it has none (exec) or already asks the sidecar. */
function readAction(container: Container, probe: Probe): FoundAction | undefined {
  const kinds = actionKinds.filter((each) => isObject(probe[each]));
  const kind = kinds[0];
  if (kind === undefined || kinds.length > 1) return undefined;
  const action = probe[kind]!;
  // The kubelet would ask that host, wherever it is: not this pod's application.
  if (typeof action.host === 'string' && action.host !== '') return undefined;
  const port = resolvePort(container, action.port);
  if (port === ports.health) return undefined;
  if (port === undefined) return { problem: `its port ${JSON.stringify(action.port)} is unknown` };
  return { kind, action, port };
}

function resolvePort(
  container: Container,
  port: number | string | null | undefined,
): number | undefined {
  const named = container.ports?.find(({ name }) => name === port)?.containerPort;
  const value = typeof port === 'number' ? port : (named ?? Number(port ?? Number.NaN));
  return Number.isInteger(value) && value >= 1 && value <= 65_535 ? value : undefined;
}

function pathOf(container: string, word: string): string {
  return `/app-health/${encodeURIComponent(container.toWellFormed())}/${word}`;
}
