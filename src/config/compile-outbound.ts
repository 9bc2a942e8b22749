/**
 * Compile outbound: egress listeners of a Sidecar to listeners with their virtual hosts.
 *
 * `hosts` says which services and VirtualServices a listener imports, as in Istio. One with a socket of
 * its own that names exactly one host takes every authority as that host's, because an application
 * without capture sends `127.0.0.1:PORT` there. Captured connections know better: there is one listener
 * for each port of the imported services, and an authority that it does not know is passed on.
 */

import type { Listener, VirtualHost } from '../model/routing-table.ts';
import { type Capture, isBound } from './check-capture.ts';
import { makePlainRule, type RuleCompiler } from './compile-rules.ts';
import { isWildcard } from './host-names.ts';
import { Imports } from './imports.ts';
import { resourceName, type SidecarResource } from './resource.ts';
import type { EgressHost, EgressListener } from './sidecar.ts';
import type { World } from './world.ts';

const DEFAULT_BIND = '127.0.0.1';
/** What a workload sees that no Sidecar narrows. */
const everything: EgressHost = Object.freeze({ namespace: '*', host: '*' });

/** The listener with a socket; undefined when it has no port, which was complained of. */
export function compileOutbound(
  listener: EgressListener,
  sidecar: SidecarResource,
  world: World,
  rules: RuleCompiler,
  namespace: string,
): Listener | undefined {
  if (listener.port === undefined) return undefined;
  const address = listener.bind ?? DEFAULT_BIND;
  const port = listener.port.number;
  const imported = new Imports(world, sidecar.namespace, namespace);
  for (const { value } of listener.hosts) imported.add(value);
  const virtualHosts = imported.virtualHosts(rules, port);
  const only = onlyHost(listener);
  let defaultHost = -1;
  if (only !== undefined) {
    defaultHost = virtualHosts.findIndex((each) => each.name === only);
    if (defaultHost === -1) {
      defaultHost = virtualHosts.length;
      virtualHosts.push(missingHost(only, listener, sidecar));
    }
  }
  return {
    name: `outbound|${address}|${port}`,
    direction: 'outbound',
    address,
    port,
    tls: undefined,
    virtualHosts,
    defaultHost,
  };
}

/**
 * The listeners for captured connections. Egress listeners with a port say what is known on that port;
 * those without say it for every other port, and so does a Sidecar without any, or none at all.
 */
export function captureOutbound(
  sidecar: SidecarResource | undefined,
  world: World,
  rules: RuleCompiler,
  namespace: string,
): readonly { readonly listener: Listener; readonly from: EgressListener | undefined }[] {
  const found: { listener: Listener; from: EgressListener | undefined }[] = [];
  const capture: Capture = 'redirect';
  const own = sidecar?.namespace ?? namespace;
  const egress = sidecar?.spec.egress;
  const captured = egress?.filter((each) => !isBound(each, capture)) ?? [];
  const ported = captured.filter((each) => 'port' in each.offsets);
  const taken = new Set(ported.map(({ port }) => port?.number));
  for (const from of ported) {
    if (from.port === undefined) continue;
    const { number } = from.port;
    const imported = new Imports(world, own, namespace);
    for (const { value } of from.hosts) imported.add(value);
    const hosts = imported.hostsByPort().get(number) ?? new Set();
    const listener = capturedListener(number, imported.virtualHosts(rules, number, hosts));
    found.push({ listener, from });
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
    found.push({ listener, from: undefined });
  }
  return found;
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

/** The host of a listener that names exactly one, without a wildcard. */
function onlyHost(listener: EgressListener): string | undefined {
  const names = new Set(listener.hosts.map(({ value }) => value.host));
  const [only] = names;
  return names.size === 1 && only !== undefined && !isWildcard(only) ? only : undefined;
}

/** Stands for the one host of a listener that nothing defines: it fails closed. */
function missingHost(
  name: string,
  listener: EgressListener,
  sidecar: SidecarResource,
): VirtualHost {
  const { at } = listener.hosts[0]!;
  const rule = makePlainRule({
    identity: `${resourceName(sidecar)}/${at.path}`,
    resource: `Sidecar ${resourceName(sidecar)}`,
    route: resourceName(sidecar),
    index: 0,
    at,
    cluster: '',
    broken: 'no-backend',
  });
  return { name, domains: [name], rules: [rule] };
}
