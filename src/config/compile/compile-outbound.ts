/**
 * Compile outbound: egress listeners of a Sidecar with sockets of their own, with their virtual hosts.
 *
 * `hosts` says which services and VirtualServices a listener imports, as in Istio. One that names
 * exactly one host takes every authority as that host's, because an application without capture sends
 * `127.0.0.1:PORT` there. Captured connections know better: compile-capture.ts.
 */

import type { Listener, VirtualHost } from '../../model/routing-table.ts';
import { isWildcard } from '../resource/host-names.ts';
import { resourceName, type SidecarResource } from '../resource/resource.ts';
import type { EgressListener } from '../resource/sidecar.ts';
import type { World } from '../world/world.ts';
import { makePlainRule, type RuleCompiler } from './compile-rules.ts';
import { Imports } from './imports.ts';

const DEFAULT_BIND = '127.0.0.1';

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
