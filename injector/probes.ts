/**
 * Probes and hooks: kubelet's questions to an application, sent through the sidecar and back.
 *
 * A probe of a captured port would meet the sidecar: a TCP probe would always succeed, and with strict
 * mutual TLS every other one would fail. So it asks the sidecar's health port instead, which asks the
 * application: `/app-health/CONTAINER/readyz`. What was there is kept in TRACECAR_PROBES, from which
 * the sidecar reads it and from which `restoreProbes` brings it back. `httpGet` hooks go the same way
 * (`/app-health/CONTAINER/prestop`) with the pod's secret, since they may do more than ask; without a
 * secret (a manifest for a repository) they stay. So do exec and questions to another host.
 */

import { drainSecretHeader, ports } from './patch-names.ts';
import {
  type Container,
  isObject,
  type Lifecycle,
  type Pod,
  type Probe,
  type ProbeAction,
} from './pod.ts';

/** One value of TRACECAR_PROBES: the action as it was, its port as a number. */
export type ProbeEntry = Readonly<Record<string, unknown>>;
export type ProbeEntries = Readonly<Record<string, ProbeEntry>>;

const probeKinds = [
  ['startupProbe', 'startupz'],
  ['readinessProbe', 'readyz'],
  ['livenessProbe', 'livez'],
] as const;

const actionKinds = ['httpGet', 'tcpSocket', 'grpc'] as const;

const hookKinds = [
  ['postStart', 'poststart'],
  ['preStop', 'prestop'],
] as const;

/** What the sidecar takes; the kubelet's own timeout is whatever the probe says. */
const timeoutSecondsMax = 3_600;
/** The kubelet ends a hook with the pod's grace period, and has no other limit. */
const hookSeconds = 600;

export interface Rewritten {
  readonly container: Container;
  /** What describes the changes. */
  readonly entries: ProbeEntries;
}

/** The container with its probes and, where there is a drain secret, its hooks through the sidecar. */
export function rewriteProbes(container: Container, drainSecret: string): Rewritten {
  const probes = rewriteQuestions(container);
  if (drainSecret === '' || !container.lifecycle) return probes;
  const hooks = rewriteHooks(container, container.lifecycle, drainSecret);
  return {
    container: { ...probes.container, ...hooks.container },
    entries: { ...probes.entries, ...hooks.entries },
  };
}

/** Of the container only what changes. */
function rewriteHooks(container: Container, lifecycle: Lifecycle, drainSecret: string) {
  const changed: Record<string, Probe> = {};
  const entries: Record<string, ProbeEntry> = {};
  const httpHeaders = [{ name: drainSecretHeader, value: drainSecret }];
  for (const [field, word] of hookKinds) {
    const hook = lifecycle[field];
    const found = hook ? readAction(container, hook) : undefined;
    if (!hook || found === undefined || 'problem' in found || found.kind !== 'httpGet') continue;
    const path = pathOf(container.name, word);
    changed[field] = {
      ...hook,
      httpGet: { path, port: ports.health, scheme: 'HTTP', httpHeaders },
    };
    entries[path] = {
      httpGet: { ...found.action, port: found.port },
      timeoutSeconds: hookSeconds,
    };
  }
  return { container: { lifecycle: { ...lifecycle, ...changed } }, entries };
}

function rewriteQuestions(container: Container): Rewritten {
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
  const restored = { ...container, ...changed };
  const { lifecycle } = container;
  return lifecycle
    ? { ...restored, lifecycle: restoreHooks(container, lifecycle, entries) }
    : restored;
}

function restoreHooks(
  container: Container,
  lifecycle: Lifecycle,
  entries: ProbeEntries,
): Lifecycle {
  const changed: Record<string, Probe> = {};
  for (const [field, word] of hookKinds) {
    const hook = lifecycle[field];
    const path = pathOf(container.name, word);
    if (hook?.httpGet?.port !== ports.health || hook.httpGet.path !== path) continue;
    const entry = Object.hasOwn(entries, path) ? entries[path]! : {};
    if (isObject(entry.httpGet))
      changed[field] = { ...hook, httpGet: entry.httpGet as ProbeAction };
  }
  return { ...lifecycle, ...changed };
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

/** Warnings about probes and hooks that cannot be sent through the sidecar. */
export function probeWarnings(pod: Pod): string[] {
  const warnings: string[] = [];
  for (const container of [...(pod.spec.initContainers ?? []), ...(pod.spec.containers ?? [])]) {
    const { postStart, preStop } = container.lifecycle ?? {};
    const asked = { ...container, postStart, preStop };
    for (const [field] of [...probeKinds, ...hookKinds]) {
      const probe = asked[field];
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
