/**
 * Gateways of a world: which ones a VirtualService names, and what their servers let it bind.
 *
 * As in Istio a name without a slash is of the VirtualService's own namespace, and a server's host may say
 * of which namespace the VirtualServices are that bind it.
 */

import type { GatewayHost, GatewayServerSpec } from '../resource/gateway.ts';
import { covers, fullName } from '../resource/host-names.ts';
import {
  type GatewayResource,
  resourceName,
  type VirtualServiceResource,
} from '../resource/resource.ts';
import type { Complaints } from '../syntax/complaints.ts';
import { didYouMean, listOfNames } from '../syntax/nearest-name.ts';
import { isBoundToMesh, type World } from '../world/world.ts';

/** Whether `resource` names the gateway. */
export function isBoundTo(resource: VirtualServiceResource, gateway: GatewayResource): boolean {
  const full = resourceName(gateway);
  return (resource.spec.gateways ?? []).some(({ value }) => fullGateway(value, resource) === full);
}

function fullGateway(written: string, { namespace }: VirtualServiceResource): string {
  return written.includes('/') ? written : `${namespace}/${written}`;
}

/**
 * The hosts of a VirtualService that one server lets it bind, the narrower of each two; with how exactly
 * the VirtualService itself names them.
 */
export function hostsAt(
  resource: VirtualServiceResource,
  server: GatewayServerSpec,
  gateway: GatewayResource,
): ReadonlyMap<string, number> {
  const found = new Map<string, number>();
  const take = (host: string, written: string) =>
    found.set(host, Math.max(found.get(host) ?? 0, exactnessOf(written)));
  for (const { value } of resource.spec.hosts) {
    const host = fullName(value, resource.namespace);
    for (const { value: at } of server.hosts) {
      if (!mayBind(at, resource, gateway)) continue;
      if (covers(at.host, host)) take(host, host);
      else if (covers(host, at.host)) take(at.host, host);
    }
  }
  return found;
}

/** A single name is exacter than any wildcard, and a longer wildcard than a shorter one. */
export function exactnessOf(host: string): number {
  return host.startsWith('*') ? host.length : Number.POSITIVE_INFINITY;
}

function mayBind(
  { namespace }: GatewayHost,
  resource: VirtualServiceResource,
  gateway: GatewayResource,
): boolean {
  if (namespace === '*') return true;
  return resource.namespace === (namespace === '.' ? gateway.namespace : namespace);
}

/** Complains of gateways that nothing defines, and of hosts that those there are do not serve. */
export function checkGateways(
  world: World,
  resource: VirtualServiceResource,
  complaints: Complaints,
): void {
  const names = world.gateways.map(resourceName);
  let isWhole = true;
  for (const { value, at } of resource.spec.gateways ?? []) {
    if (value === 'mesh' || names.includes(fullGateway(value, resource))) continue;
    isWhole = false;
    const message = `No Gateway \`${fullGateway(value, resource)}\` is defined here`;
    const otherwise = isBoundToMesh(resource)
      ? 'Sidecars use this VirtualService, because `mesh` is in the list.'
      : 'Add `mesh` to use this VirtualService in sidecars.';
    const fix = didYouMean(fullGateway(value, resource), names, otherwise);
    complaints.add('gateway-ignored', at, message, fix);
  }
  const gateways = world.gateways.filter((each) => isBoundTo(resource, each));
  if (!isWhole || gateways.length === 0 || isBoundToMesh(resource)) return;
  for (const { value, at } of resource.spec.hosts) {
    const only = { ...resource, spec: { ...resource.spec, hosts: [{ value, at }] } };
    const isServed = gateways.some((gateway) =>
      gateway.spec.servers.some((server) => hostsAt(only, server, gateway).size > 0),
    );
    if (isServed) continue;
    const hosts = gateways
      .flatMap(({ spec }) => spec.servers.flatMap((each) => each.hosts))
      .map((each) => each.value);
    const isElsewhere = hosts.some(({ host }) => covers(host, value) || covers(value, host));
    const where = isElsewhere ? ` for namespace ${resource.namespace}` : '';
    const names = listOfNames(gateways.map(resourceName));
    const message = `No server of ${names} serves \`${value}\`${where}`;
    const fix = isElsewhere
      ? 'Write `*/HOST` there for every namespace, or move this VirtualService.'
      : `The hosts there are ${listOfNames(hosts.map(({ host }) => host))}.`;
    complaints.add('host-not-at-gateway', at, message, fix);
  }
}
