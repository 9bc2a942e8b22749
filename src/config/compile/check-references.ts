/**
 * Check references: complaints about how the resources of a folder fit together, whoever reads them.
 *
 * Hosts, subsets and ports that do not exist, labels that select nothing, resources that bind nothing.
 * What depends on one workload's view is complained of where its table is compiled.
 */

import { covers, fullName, isWildcard } from '../resource/host-names.ts';
import type {
  DestinationRuleResource,
  SidecarResource,
  VirtualServiceResource,
} from '../resource/resource.ts';
import { destinationsOf } from '../resource/virtual-service.ts';
import type { Complaints } from '../syntax/complaints.ts';
import type { World } from '../world/world.ts';
import { selectEndpoints } from './compile-clusters.ts';
import type { CompileMemory } from './compile-memory.ts';
import { checkGateways } from './gateway-world.ts';
import { complainOf, isProblem, nearestHost, resolveDestination } from './resolve.ts';

const nobody = { namespace: undefined, port: undefined };

/** @param namespace of the workload in whose `memory` clean VirtualServices are found again */
export function checkReferences(
  world: World,
  complaints: Complaints,
  memory: CompileMemory,
  namespace: string,
): void {
  for (const each of world.virtualServices) {
    checkGateways(world, each, complaints);
    const memo = memory.routesOf(each, world, namespace);
    if (!memo.isChecked) memo.isChecked = checkDestinations(world, each, complaints);
  }
  for (const each of world.destinationRules) checkDestinationRule(world, each, complaints);
  for (const each of world.sidecars) checkSidecar(world, each, complaints);
}

/** True when there is nothing to complain of. */
export function checkDestinations(
  world: World,
  resource: VirtualServiceResource,
  complaints: Complaints,
): boolean {
  let isClean = true;
  for (const destination of destinationsOf(resource.spec)) {
    const found = resolveDestination(world, destination, resource.namespace, nobody);
    if (!isProblem(found)) continue;
    complainOf(found, complaints);
    isClean = false;
  }
  return isClean;
}

function checkDestinationRule(
  world: World,
  resource: DestinationRuleResource,
  complaints: Complaints,
): void {
  const { spec, namespace } = resource;
  const host = fullName(spec.host, namespace);
  const services = isWildcard(host)
    ? [...world.services.values()].filter((each) => covers(host, each.host))
    : [world.findService(spec.host, namespace)].filter((each) => each !== undefined);
  if (services.length === 0) {
    const place = { ...spec.at, path: 'spec.host', offset: spec.offsets.host! };
    const message = `No ServiceEntry defines \`${host}\`: this rule has no effect`;
    complaints.add(
      'host-without-service',
      place,
      message,
      nearestHost(world, spec.host, namespace),
    );
    return;
  }
  for (const subset of spec.subsets ?? []) {
    const isFound = services.some((service) => {
      const { ports } = service;
      return ports.some((port) => selectEndpoints(service, port, subset.labels).length > 0);
    });
    if (isFound) continue;
    const wanted = Object.entries(subset.labels ?? {}).map(([key, value]) => `${key}: ${value}`);
    const message = `No endpoint of \`${host}\` has the labels of subset \`${subset.name}\``;
    const fix = `Give an endpoint the labels {${wanted.join(', ')}}, or mend them here.`;
    const offset = subset.offsets.labels ?? subset.at.offset;
    const path = 'labels' in subset.offsets ? `${subset.at.path}.labels` : subset.at.path;
    complaints.add('selects-nothing', { ...subset.at, path, offset }, message, fix);
  }
}

function checkSidecar(world: World, resource: SidecarResource, complaints: Complaints): void {
  for (const listener of resource.spec.egress ?? []) {
    for (const { value, at } of listener.hosts) {
      if (isWildcard(value.host) || value.namespace === '~') continue;
      const namespace = value.namespace === '.' ? resource.namespace : value.namespace;
      const service = world.services.get(value.host);
      const isService =
        service !== undefined && (namespace === '*' || service.resource.namespace === namespace);
      const isRouted = world.boundHosts.some(
        (each) =>
          covers(each.host, value.host) &&
          (namespace === '*' || each.resource.namespace === namespace),
      );
      if (isService || isRouted) continue;
      const message =
        service === undefined
          ? `Nothing defines the host \`${value.host}\``
          : `\`${value.host}\` is not defined in namespace ${namespace}`;
      const fix =
        service === undefined
          ? nearestHost(world, value.host, namespace)
          : `Write \`${service.resource.namespace}/${value.host}\`.`;
      complaints.add('egress-unknown-host', at, message, fix);
    }
  }
}
