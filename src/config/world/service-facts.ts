/**
 * Service facts: what is known of a service, whatever kind of resource says it.
 *
 *   ServiceEntry ── WorkloadEntry or Pod, selected by labels ──┐
 *   Service ── EndpointSlice (by label) ── Pod (its labels) ───┴─► Service: host, ports, endpoints
 *
 * A ServiceEntry that defines the host of a Service counts, because somebody wrote it for the mesh. A
 * Service without slices is asked of DNS by its name, as applications do, so a manifest alone breaks
 * nothing.
 */

import { parseAddress, printBytes } from '../../base/ip-address.ts';
import type { DeclaredProtocol } from '../../model/routing-table.ts';
import { kubernetesHost, kubernetesName } from '../resource/host-names.ts';
import { isTcp } from '../resource/kube-service.ts';
import { declaredProtocol } from '../resource/port-protocol.ts';
import {
  type KubeServiceResource,
  type PodResource,
  type Resource,
  resourceName,
  type ServiceEntryResource,
} from '../resource/resource.ts';
import type { Labels } from '../resource/values.ts';
import { type Complaints, type Place, placeText } from '../syntax/complaints.ts';
import type { ComplaintKind } from '../syntax/diagnostic-codes.ts';
import { type EndpointOwner, usualServiceAccount } from './endpoint-identity.ts';
import { ServiceParts } from './service-parts.ts';

/** One host. The same `sources` mean the same facts. */
export interface Service {
  readonly host: string;
  /** What defines it. */
  readonly resource: ServiceEntryResource | KubeServiceResource;
  /** All that it was made of, `resource` first. */
  readonly sources: readonly Resource[];
  readonly exportTo: readonly string[] | undefined;
  readonly ports: readonly ServicePort[];
  /** Virtual addresses and ranges, as written. */
  readonly addresses: readonly string[];
  /** Its name leads to its endpoints' addresses. */
  readonly isHeadless: boolean;
  /** Its name is its only endpoint: DNS says where that is. */
  readonly isOwnEndpoint: boolean;
  readonly endpoints: readonly ServiceEndpoint[];
  readonly at: Place;
}

export interface ServicePort {
  readonly number: number;
  /** Empty where a Service has one port without a name. */
  readonly name: string;
  readonly protocol: DeclaredProtocol;
  readonly targetPort: number | undefined;
}

export interface ServiceEndpoint {
  /** IP address, as `node:net` prints it, or DNS name. */
  readonly address: string;
  readonly labels: Labels;
  /** Empty: nobody says. */
  readonly zone: string;
  /** Undefined: nobody's that we know of. */
  readonly owner: EndpointOwner | undefined;
  /** Its own ports, by the name of the service's. */
  readonly ports: ReadonlyMap<string, number>;
  /** It has no others; else one that is not here is the service's. */
  readonly isClosed: boolean;
}

export const noLabels: Labels = Object.freeze(Object.create(null));
const noPorts: ReadonlyMap<string, number> = new Map();

/** The services by their hosts. Of several with the same host one counts, the others are complained of. */
export function gatherServices(
  resources: readonly Resource[],
  complaints: Complaints,
): ReadonlyMap<string, Service> {
  const parts = new ServiceParts(resources);
  const services = new Map<string, Service>();
  for (const resource of resources) {
    if (resource.kind !== 'ServiceEntry') continue;
    for (const service of servicesOfEntry(resource, parts)) {
      const { host, at } = service;
      const other = services.get(host);
      const joined = other === undefined ? service : join(other, service);
      if (joined !== undefined) services.set(host, joined);
      else if (other !== undefined && other.resource !== resource) {
        const fix =
          'Join the two: only ports of a name that DNS resolves may stand in several ServiceEntries.';
        complainOfTwo(complaints, 'host-defined-twice', at, host, other.resource, fix);
      }
    }
  }
  for (const resource of resources) {
    if (resource.kind === 'Service') addKubeService(resource, parts, services, complaints);
  }
  for (const slice of parts.strays()) {
    const message =
      'No Service here is the one that `kubernetes.io/service-name` of this slice says';
    const fix = 'Add the Service, or remove the slice.';
    complaints.add('slice-without-service', slice.at, message, fix);
  }
  return services;
}

/**
 * One service of two ServiceEntries that say of one name, which is its own endpoint, other ports each: so
 * what allows a call can be pasted for one port after the other. Undefined where they say more than that.
 */
function join(first: Service, second: Service): Service | undefined {
  const both = [first, second].toSorted((one, other) => compareNames(one.resource, other.resource));
  const [main] = both as [Service, Service];
  const isJoinable =
    both.every(({ isOwnEndpoint, resource }) => isOwnEndpoint && resource.isSound) &&
    both.every(({ addresses }) => addresses.length === 0) &&
    first.resource.namespace === second.resource.namespace &&
    first.exportTo?.join() === second.exportTo?.join() &&
    !first.ports.some(({ number }) => second.ports.some((port) => port.number === number));
  if (!isJoinable) return undefined;
  return {
    ...main,
    sources: both.flatMap(({ sources }) => sources),
    ports: both.flatMap(({ ports }) => ports),
  };
}

function compareNames(first: Resource, second: Resource): number {
  const [one, other] = [resourceName(first), resourceName(second)];
  return Number(one > other) - Number(one < other);
}

export function complainOfTwo(
  complaints: Complaints,
  kind: ComplaintKind,
  at: Place,
  host: string,
  other: Resource,
  fix: string,
): void {
  const name = `${other.kind} ${resourceName(other)}`;
  const message = `\`${host}\` is already taken by ${name} (${placeText(other.at)}), which counts`;
  complaints.add(kind, at, message, fix);
}

function servicesOfEntry(entry: ServiceEntryResource, parts: ServiceParts): Service[] {
  const { spec } = entry;
  const selected = spec.workloadSelector && parts.select(entry.namespace, spec.workloadSelector);
  const endpoints: ServiceEndpoint[] = [];
  for (const each of spec.endpoints ?? []) {
    const { address, labels, ports, locality } = each;
    if (address === undefined) continue;
    endpoints.push({
      address: canonical(address.value),
      labels: labels ?? noLabels,
      zone: zoneOf(locality, labels),
      // Who answers under the name of a Service is a pod of its namespace, whoever names it here.
      owner: ownerOf(namespaceOf(address.value) ?? entry.namespace, each.serviceAccount, labels),
      ports: new Map(ports?.map(({ key, value }) => [key, value])),
      isClosed: false,
    });
  }
  for (const each of selected ?? []) endpoints.push(endpointOfWorkload(each));
  const ports = spec.ports.map(({ number, name, protocol, targetPort }) => ({
    ...{ number, name, targetPort },
    protocol: declaredProtocol(protocol, name, number),
  }));
  const isOwnEndpoint =
    spec.resolution === 'dns' && spec.endpoints === undefined && selected === undefined;
  return spec.hosts.map(({ value: host, at }) => ({
    host,
    resource: entry,
    sources: [entry, ...(selected ?? [])],
    exportTo: spec.exportTo,
    ports,
    addresses: spec.addresses ?? [],
    isHeadless: false,
    isOwnEndpoint,
    endpoints,
    at,
  }));
}

function endpointOfWorkload(resource: ReturnType<ServiceParts['select']>[number]): ServiceEndpoint {
  if (resource.kind === 'Pod') {
    const { status, metadata } = resource.spec;
    const labels = metadata?.labels ?? noLabels;
    return {
      address: canonical(status!.podIP!),
      labels,
      zone: zoneOf(undefined, labels),
      owner: ownerOfPod(resource),
      ports: noPorts,
      isClosed: false,
    };
  }
  const { address, labels, ports, locality, serviceAccount } = resource.spec;
  return {
    address: canonical(address.value),
    labels: labels ?? noLabels,
    zone: zoneOf(locality, labels),
    owner: ownerOf(resource.namespace, serviceAccount, labels),
    ports: new Map(ports?.map(({ key, value }) => [key, value])),
    isClosed: false,
  };
}

function addKubeService(
  resource: KubeServiceResource,
  parts: ServiceParts,
  services: Map<string, Service>,
  complaints: Complaints,
): void {
  const service = kubeService(resource, parts);
  const { host, at } = service;
  const other = services.get(host)?.resource;
  if (other !== undefined) {
    const fix = 'Remove one of the two.';
    complainOfTwo(complaints, 'service-shadowed', at, host, other, fix);
    return;
  }
  services.set(host, service);
  if (!service.isOwnEndpoint || service.ports.length === 0) return;
  const message = 'No EndpointSlice here is of this Service: DNS is asked for its name';
  const fix = 'Add its EndpointSlices (and Pods, for labels) if rules choose among its endpoints.';
  complaints.add('service-without-endpoints', at, message, fix);
}

function kubeService(resource: KubeServiceResource, parts: ServiceParts): Service {
  const { spec } = resource.spec;
  const slices = parts.slicesOf(resource);
  const pods = new Set<PodResource>();
  const endpoints: ServiceEndpoint[] = [];
  for (const slice of slices) {
    const ports = new Map<string, number>();
    for (const each of slice.spec.ports ?? []) {
      if (isTcp(each) && each.port !== undefined) ports.set(each.name ?? '', each.port);
    }
    for (const { addresses, conditions, targetRef, zone } of slice.spec.endpoints ?? []) {
      // Kubernetes: what is not known counts as ready, and only the first address means something.
      const [address] = addresses;
      if (conditions?.ready === false || address === undefined) continue;
      const pod = targetRef && parts.podOf(targetRef, slice.namespace);
      if (pod !== undefined) pods.add(pod);
      const labels = pod?.spec.metadata?.labels ?? noLabels;
      const where = zone ?? zoneOf(undefined, labels);
      const owner = pod && ownerOfPod(pod);
      const at = { address: canonical(address), labels, zone: where, owner };
      endpoints.push({ ...at, ports, isClosed: true });
    }
  }
  const isExternal = spec.type === 'ExternalName' && spec.externalName !== undefined;
  if (isExternal) {
    const address = spec.externalName!;
    const at = { address, labels: noLabels, zone: '', owner: undefined };
    endpoints.push({ ...at, ports: noPorts, isClosed: false });
  }
  const addresses = (spec.clusterIPs ?? [spec.clusterIP ?? '']).filter(isAddress);
  return {
    host: kubernetesHost(resource.name, resource.namespace),
    resource,
    sources: [resource, ...slices, ...pods],
    exportTo: undefined,
    ports: (spec.ports ?? []).filter(isTcp).map(({ port, name = '', appProtocol }) => ({
      number: port,
      name,
      protocol: declaredProtocol(appProtocol, name, port),
      targetPort: undefined,
    })),
    addresses,
    isHeadless: spec.clusterIP === 'None',
    isOwnEndpoint: slices.length === 0 && !isExternal,
    endpoints,
    at: resource.at,
  };
}

function namespaceOf(address: string): string | undefined {
  return kubernetesName(address.toLowerCase())?.namespace;
}

function ownerOfPod({ namespace, spec }: PodResource): EndpointOwner {
  const { metadata, plainPorts } = spec;
  return { ...ownerOf(namespace, spec.spec?.serviceAccountName, metadata?.labels), plainPorts };
}

function ownerOf(
  namespace: string,
  serviceAccount: string = usualServiceAccount,
  labels: Labels = noLabels,
): EndpointOwner {
  return { namespace, serviceAccount, labels, plainPorts: [] };
}

const ZONE_LABEL = 'topology.kubernetes.io/zone';

/** What is written of it, `REGION/ZONE/SUBZONE`, beats the label that Kubernetes gives. */
function zoneOf(locality: string | undefined, labels: Labels = noLabels): string {
  return locality?.split('/')[1] ?? labels[ZONE_LABEL] ?? '';
}

/** Names stay as they are written. */
function canonical(address: string): string {
  const bytes = parseAddress(address);
  return bytes === undefined ? address : printBytes(bytes);
}

function isAddress(clusterIp: string): boolean {
  return clusterIp !== '' && clusterIp !== 'None';
}
