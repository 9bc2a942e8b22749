/**
 * Resources: the YAML documents that mean something to the mesh, as typed plain data.
 *
 * `read-resource.ts` makes them. A resource with mistakes is still here, as far as it could be read,
 * so that references to it do not raise further complaints; `isSound` says that it had none.
 */

import type { Place } from '../syntax/complaints.ts';
import type { AuthorizationPolicySpec, RequestAuthenticationSpec } from './authorization-policy.ts';
import type { DestinationRuleSpec } from './destination-rule.ts';
import type { GatewaySpec } from './gateway.ts';
import type { SecretSpec } from './kube-secret.ts';
import type { EndpointSliceSpec, KubeServiceSpec, PodSpec } from './kube-service.ts';
import type { PeerAuthenticationSpec } from './peer-authentication.ts';
import type { ServiceEntrySpec } from './service-entry.ts';
import type { SidecarSpec } from './sidecar.ts';
import type { TelemetrySpec } from './telemetry-resource.ts';
import type { VirtualServiceSpec } from './virtual-service.ts';
import type { WorkloadEntrySpec } from './workload-entry.ts';

interface ResourceOf<Kind extends string, Spec> {
  readonly kind: Kind;
  readonly namespace: string;
  readonly name: string;
  readonly spec: Spec;
  /** The document's place. */
  readonly at: Place;
  /** No mistake of severity error inside. Rules of others answer with a named failure. */
  readonly isSound: boolean;
}

export type SidecarResource = ResourceOf<'Sidecar', SidecarSpec>;
export type ServiceEntryResource = ResourceOf<'ServiceEntry', ServiceEntrySpec>;
export type VirtualServiceResource = ResourceOf<'VirtualService', VirtualServiceSpec>;
export type DestinationRuleResource = ResourceOf<'DestinationRule', DestinationRuleSpec>;
export type WorkloadEntryResource = ResourceOf<'WorkloadEntry', WorkloadEntrySpec>;
export type GatewayResource = ResourceOf<'Gateway', GatewaySpec>;
export type TelemetryResource = ResourceOf<'Telemetry', TelemetrySpec>;
export type PeerAuthenticationResource = ResourceOf<'PeerAuthentication', PeerAuthenticationSpec>;
export type AuthorizationPolicyResource = ResourceOf<
  'AuthorizationPolicy',
  AuthorizationPolicySpec
> & {
  /** Annotation `istio.io/dry-run`: it is counted and traced and blocks nothing. */
  readonly isDryRun: boolean;
  /** New in a file with a mistake: one that lets in counts only where no other does, for there it closes. */
  readonly isAside: boolean;
};
export type RequestAuthenticationResource = ResourceOf<
  'RequestAuthentication',
  RequestAuthenticationSpec
>;
export type KubeServiceResource = ResourceOf<'Service', KubeServiceSpec>;
export type EndpointSliceResource = ResourceOf<'EndpointSlice', EndpointSliceSpec>;
export type SecretResource = ResourceOf<'Secret', SecretSpec>;
export type PodResource = ResourceOf<'Pod', PodSpec>;

export type Resource =
  | SidecarResource
  | ServiceEntryResource
  | VirtualServiceResource
  | DestinationRuleResource
  | WorkloadEntryResource
  | TelemetryResource
  | GatewayResource
  | PeerAuthenticationResource
  | AuthorizationPolicyResource
  | RequestAuthenticationResource
  | KubeServiceResource
  | EndpointSliceResource
  | SecretResource
  | PodResource;

/** `default/reviews`. */
export function resourceName(resource: Resource): string {
  return `${resource.namespace}/${resource.name}`;
}

/** A resource that says who may call. */
export type PolicyResource = AuthorizationPolicyResource | RequestAuthenticationResource;
