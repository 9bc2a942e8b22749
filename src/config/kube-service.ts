/**
 * Service, EndpointSlice and Pod of Kubernetes: the few fields that say who answers under which name.
 *
 * They are written by controllers and have many more fields, which are left alone. Only TCP counts. A
 * Service says names, ports and virtual addresses; its slices say who is ready; a pod adds its labels.
 */

import { anyList, flag, needed, openRecord, optional, text } from './schema.ts';
import { hostname, ipAddress, labels, portNumber } from './values.ts';

const servicePort = openRecord({
  name: optional(text),
  port: needed(portNumber),
  protocol: optional(text),
  appProtocol: optional(text),
});

/** From the document's root. */
export const kubeServiceSpec = openRecord({
  spec: needed(
    openRecord({
      type: optional(text),
      /** An address, `None` for a headless one, or empty. */
      clusterIP: optional(text),
      clusterIPs: optional(anyList(text)),
      externalName: optional(hostname),
      ports: optional(anyList(servicePort)),
    }),
  ),
});

const sliceMetadata = openRecord({ labels: optional(labels) });

const sliceEndpoint = openRecord({
  addresses: needed(anyList(ipAddress)),
  conditions: optional(openRecord({ ready: optional(flag) })),
  targetRef: optional(
    openRecord({ kind: optional(text), name: optional(text), namespace: optional(text) }),
  ),
});

const slicePort = openRecord({
  name: optional(text),
  port: optional(portNumber),
  protocol: optional(text),
});

/** From the document's root: a slice has no `spec`. */
export const endpointSliceSpec = openRecord({
  metadata: optional(sliceMetadata),
  endpoints: optional(anyList(sliceEndpoint)),
  ports: optional(anyList(slicePort)),
});

/** From the document's root. */
export const podSpec = openRecord({
  metadata: optional(openRecord({ labels: optional(labels) })),
  status: optional(openRecord({ phase: optional(text), podIP: optional(ipAddress) })),
});

export type KubeServiceSpec = NonNullable<ReturnType<typeof kubeServiceSpec>>;
export type EndpointSliceSpec = NonNullable<ReturnType<typeof endpointSliceSpec>>;
export type PodSpec = NonNullable<ReturnType<typeof podSpec>>;

const SERVICE_LABEL = 'kubernetes.io/service-name';

/** The Service of a slice, in the slice's own namespace. */
export function serviceNameOf({ metadata }: EndpointSliceSpec): string | undefined {
  return metadata?.labels?.[SERVICE_LABEL];
}

/** Whether a port of a Service or a slice is one of TCP, as it is where nothing is said. */
export function isTcp({ protocol }: { readonly protocol: string | undefined }): boolean {
  return protocol === undefined || protocol === 'TCP';
}
