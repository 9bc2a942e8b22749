/**
 * Compile capture: the plan for outbound connections that were redirected, as one workload sees it.
 *
 * Egress listeners of its Sidecar with a port say what is known on that port; those without say it for
 * every other port, and so does a Sidecar without any, or none at all. Each port of a service that may
 * speak HTTP gets a listener, which an authority that it does not know passes by; and every address of a
 * service or of its endpoints becomes a destination (compile-destinations.ts).
 */

import type { Destination, Listener, VirtualHost } from '../../model/routing-table.ts';
import type { SidecarResource } from '../resource/resource.ts';
import type { EgressHost, EgressListener } from '../resource/sidecar.ts';
import type { Complaints } from '../syntax/complaints.ts';
import type { World } from '../world/world.ts';
import { isBound } from './check-capture.ts';
import type { ConnectionCompiler } from './compile-connections.ts';
import { compileDestinations } from './compile-destinations.ts';
import type { RuleCompiler } from './compile-rules.ts';
import { type ImportedService, Imports } from './imports.ts';

/** What a workload sees that no Sidecar narrows. */
const everything: EgressHost = Object.freeze({ namespace: '*', host: '*' });

export interface CaptureParts {
  readonly world: World;
  readonly rules: RuleCompiler;
  readonly connections: ConnectionCompiler;
  readonly complaints: Complaints;
  readonly sidecar: SidecarResource | undefined;
}

export interface CapturedListener {
  readonly listener: Listener;
  /** That says so; undefined when the listener is for one of all other ports. */
  readonly from: EgressListener | undefined;
}

export function compileCapture(
  parts: CaptureParts,
  namespace: string,
): {
  readonly listeners: readonly CapturedListener[];
  readonly destinations: readonly Destination[];
} {
  const { world, rules, sidecar } = parts;
  const listeners: CapturedListener[] = [];
  const services = new Map<number, readonly ImportedService[]>();
  const own = sidecar?.namespace ?? namespace;
  const egress = sidecar?.spec.egress;
  const captured = egress?.filter((each) => !isBound(each, 'redirect')) ?? [];
  const ported = captured.filter((each) => 'port' in each.offsets);
  const taken = new Set(ported.map(({ port }) => port?.number));
  const imports: Imports[] = [];
  for (const from of ported) {
    if (from.port === undefined) continue;
    const { number } = from.port;
    const imported = new Imports(world, own, namespace);
    for (const { value } of from.hosts) imported.add(value);
    const hosts = imported.hostsByPort().get(number) ?? new Set();
    const listener = capturedListener(number, imported.virtualHosts(rules, number, hosts));
    listeners.push({ listener, from });
    if (!services.has(number)) services.set(number, imported.servicesByPort().get(number) ?? []);
    imports.push(imported);
  }
  const rest = new Imports(world, own, namespace);
  if (egress === undefined) rest.add(everything);
  for (const each of captured.filter((one) => !('port' in one.offsets))) {
    for (const { value } of each.hosts) rest.add(value);
  }
  const byPort = [...rest.hostsByPort()].toSorted(([first], [second]) => first - second);
  for (const [port, hosts] of byPort) {
    if (taken.has(port)) continue;
    const listener = capturedListener(port, rest.virtualHosts(rules, port, hosts));
    listeners.push({ listener, from: undefined });
  }
  for (const [port, list] of rest.servicesByPort()) if (!taken.has(port)) services.set(port, list);
  const isDenying = sidecar?.spec.outboundTrafficPolicy?.mode === 'registry-only';
  const destinations = compileDestinations(parts, {
    services: [...services].toSorted(([first], [second]) => first - second),
    strangers: [...imports, rest].flatMap((each) => each.strangers()),
    listeners: new Map(listeners.map(({ listener: { port, name } }) => [port, name])),
    isDenying,
  });
  return { listeners, destinations };
}

function capturedListener(port: number, virtualHosts: readonly VirtualHost[]): Listener {
  return {
    name: `outbound||${port}`,
    direction: 'outbound',
    address: '',
    port,
    tls: undefined,
    virtualHosts,
    defaultHost: -1,
  };
}
