/**
 * Compile inbound: an ingress listener of a Sidecar to a listener that leads to the own application.
 *
 * Every authority is accepted: who calls a workload by address or by another name still means it. A
 * listener whose `tls` is missing or could not be read is left out: it must never serve plain text.
 */

import type { Listener } from '../../model/routing-table.ts';
import { kubernetesName } from '../resource/host-names.ts';
import { isHttps } from '../resource/http-port.ts';
import { carries } from '../resource/labels.ts';
import { resourceName, type SidecarResource } from '../resource/resource.ts';
import type { IngressListener } from '../resource/sidecar.ts';
import type { Labels } from '../resource/values.ts';
import type { World } from '../world/world.ts';
import { type Capture, isBound } from './check-capture.ts';
import { type ClusterList, selectEndpoints } from './compile-clusters.ts';
import { makePlainRule } from './compile-rules.ts';

const DEFAULT_BIND = '0.0.0.0';

/** The workload whose table is compiled. */
export interface Workload {
  readonly namespace: string;
  readonly labels: Labels;
}

export function compileInbound(
  listener: IngressListener,
  index: number,
  sidecar: SidecarResource,
  world: World,
  clusters: ClusterList,
  workload: Workload,
  capture: Capture,
): Listener | undefined {
  const wantsTls = 'tls' in listener.offsets || isHttps(listener.port);
  if (wantsTls && listener.tls === undefined) return undefined;
  const address = isBound(listener, capture) ? (listener.bind ?? DEFAULT_BIND) : '';
  const port = listener.port.number;
  const own = {
    service: ownService(world, port, workload),
    namespace: workload.namespace,
    version: workload.labels.version ?? '',
  };
  const cluster = clusters.inbound(port, listener.defaultEndpoint, own);
  const rule = makePlainRule({
    identity: `${resourceName(sidecar)}/ingress[${index}]`,
    resource: `Sidecar ${resourceName(sidecar)}`,
    route: resourceName(sidecar),
    index,
    at: listener.at,
    cluster: cluster.name,
    broken: undefined,
  });
  return {
    name: `inbound|${address}|${port}`,
    direction: 'inbound',
    address,
    port,
    tls: listener.tls,
    virtualHosts: [{ name: 'inbound', domains: ['*'], rules: [rule] }],
    defaultHost: 0,
  };
}

/**
 * The service that the workload behind this port belongs to: one of its endpoints has the port and
 * labels that are all the workload's. `version` alone proves nothing, because every application has a
 * v1. Empty when there is none; only names in spans depend on it.
 */
function ownService(world: World, port: number, workload: Workload): string {
  const { namespace, labels } = workload;
  const app = labels.app ?? labels['app.kubernetes.io/name'];
  for (const service of world.services.values()) {
    const parts = kubernetesName(service.host);
    if ((parts?.namespace ?? service.resource.namespace) !== namespace) continue;
    const isNamed = app !== undefined && parts?.name === app;
    for (const servicePort of service.ports) {
      const isOwn = selectEndpoints(service, servicePort, undefined).some(
        (each) =>
          each.port === port &&
          carries(labels, each.labels) &&
          Object.keys(each.labels).some((key) => isNamed || key !== 'version'),
      );
      if (isOwn) return service.host;
    }
  }
  return '';
}
