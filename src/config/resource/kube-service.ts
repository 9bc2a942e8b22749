/**
 * Service, EndpointSlice and Pod of Kubernetes: the few fields that say who answers under which name.
 *
 * They are written by controllers and have many more fields, which are left alone. Only TCP counts. A
 * Service says names, ports and virtual addresses; its slices say who is ready; a pod adds its labels.
 */

import { isIP } from 'node:net';
import type { Cursor } from '../syntax/cursor.ts';
import { anyList, checked, flag, needed, openRecord, optional, text } from '../syntax/schema.ts';
import { plainPortsOf } from './pod-sidecar.ts';
import { hostname, ipAddress, labels, portNumber } from './values.ts';
import { serviceAccount } from './workload-entry.ts';

const servicePort = openRecord({
  name: optional(text),
  port: needed(portNumber),
  protocol: optional(text),
  appProtocol: optional(text),
});

const serviceSpec = openRecord({
  type: optional(text),
  /** An address, `None` for a headless one, or empty. */
  clusterIP: optional(text),
  clusterIPs: optional(anyList(text)),
  externalName: optional(hostname),
  sessionAffinity: optional(text),
  ports: optional(anyList(servicePort)),
});

/** From the document's root. */
export const kubeServiceSpec = openRecord({
  spec: needed(
    checked(serviceSpec, ({ sessionAffinity, at, offsets }, { reading }) => {
      if (sessionAffinity === undefined || sessionAffinity === 'None') return;
      const place = { ...at, path: `${at.path}.sessionAffinity`, offset: offsets.sessionAffinity! };
      const message = `\`${sessionAffinity}\` has no effect here: every connection is balanced anew`;
      const fix = 'Remove it, or leave the Service out of these files.';
      reading.complaints.add('affinity-ignored', place, message, fix);
    }),
  ),
});

const sliceMetadata = openRecord({ labels: optional(labels) });

const sliceEndpoint = openRecord({
  addresses: needed(anyList(ipAddress)),
  conditions: optional(openRecord({ ready: optional(flag) })),
  zone: optional(text),
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
export const endpointSliceSpec = checked(
  openRecord({
    metadata: optional(sliceMetadata),
    addressType: optional(text),
    endpoints: optional(anyList(sliceEndpoint)),
    ports: optional(anyList(slicePort)),
  }),
  ({ addressType, endpoints }, { reading }) => {
    const version = addressType === 'IPv6' ? 6 : 4;
    if (addressType !== `IPv${version}`) return;
    for (const { addresses, at, offsets } of endpoints ?? []) {
      const wrong = addresses.find((address) => isIP(address) !== version);
      if (wrong === undefined) continue;
      const place = { ...at, path: `${at.path}.addresses`, offset: offsets.addresses! };
      const message = `\`${wrong}\` is no ${addressType} address, as \`addressType\` of this slice says`;
      const fix = 'Write it into a slice of its own family.';
      reading.complaints.add('bad-address', place, message, fix);
    }
  },
);

const podParts = openRecord({
  metadata: optional(openRecord({ labels: optional(labels) })),
  spec: optional(openRecord({ serviceAccountName: optional(serviceAccount) })),
  status: optional(openRecord({ phase: optional(text), podIP: optional(ipAddress) })),
});

/** From the document's root. `plainPorts`: no sidecar takes what comes there. */
export const podSpec = (cursor: Cursor) => {
  const parts = podParts(cursor);
  return parts && { ...parts, plainPorts: plainPortsOf(cursor) };
};

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
