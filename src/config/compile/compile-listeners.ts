/**
 * Compile listeners: all of one workload, those with sockets and those for captured connections.
 *
 * Two that want the same address and port are an error, and the first counts. Without capture the plan
 * is empty and nobody reads it.
 */

import type { CapturePlan, Destination, Listener } from '../../model/routing-table.ts';
import type { SidecarResource } from '../resource/resource.ts';
import { overlaps } from '../resource/sidecar.ts';
import type { Complaints, Place } from '../syntax/complaints.ts';
import type { World } from '../world/world.ts';
import { type Capture, isBound, isLoop } from './check-capture.ts';
import { compileCapture } from './compile-capture.ts';
import type { ClusterList } from './compile-clusters.ts';
import type { ConnectionCompiler } from './compile-connections.ts';
import { compileGateways } from './compile-gateways.ts';
import { compileInbound, type Workload } from './compile-inbound.ts';
import { compileOutbound } from './compile-outbound.ts';
import type { RuleCompiler } from './compile-rules.ts';
import type { Credentials } from './gateway-credentials.ts';

interface CompileParts {
  readonly world: World;
  readonly clusters: ClusterList;
  readonly rules: RuleCompiler;
  readonly connections: ConnectionCompiler;
  readonly credentials: Credentials;
  readonly complaints: Complaints;
  /** The workload's; undefined when there is none. */
  readonly sidecar: SidecarResource | undefined;
}

export function compileListeners(
  parts: CompileParts,
  workload: Workload & { readonly capture: Capture },
): { readonly listeners: readonly Listener[]; readonly plan: CapturePlan } {
  const { world, clusters, rules, complaints, sidecar } = parts;
  const { namespace, capture } = workload;
  const listeners: Listener[] = [];
  const inbound: Listener[] = [];
  const outbound: Listener[] = [];
  let destinations: readonly Destination[] = [];
  (sidecar?.spec.ingress ?? []).forEach((each, index) => {
    if (sidecar === undefined || isLoop(each, capture)) return;
    const made = compileInbound(each, index, sidecar, world, clusters, workload, capture);
    if (made === undefined) return;
    keep(isBound(each, capture) ? listeners : inbound, made, each.port.at, complaints);
  });
  for (const each of sidecar?.spec.egress ?? []) {
    if (sidecar === undefined || !isBound(each, capture)) continue;
    const made = compileOutbound(each, sidecar, world, rules, namespace);
    if (made !== undefined) keep(listeners, made, each.port?.at ?? each.at, complaints);
  }
  for (const { listener, at } of compileGateways(parts, workload)) {
    keep(listeners, listener, at, complaints);
  }
  if (capture === 'redirect') {
    const captured = compileCapture(parts, namespace);
    destinations = captured.destinations;
    for (const { listener, from } of captured.listeners) {
      const at = from?.port?.at ?? from?.at;
      if (at === undefined) outbound.push(listener);
      else keep(outbound, listener, at, complaints);
    }
  }
  const outboundPolicy = sidecar?.spec.outboundTrafficPolicy?.mode ?? 'allow-any';
  return { listeners, plan: { outbound, inbound, destinations, outboundPolicy } };
}

/** Adds a listener unless another has its address and port. */
function keep(list: Listener[], listener: Listener, at: Place, complaints: Complaints): void {
  const other = list.find(
    (each) => each.port === listener.port && overlaps(each.address, listener.address),
  );
  if (other === undefined) {
    list.push(listener);
    return;
  }
  const show = ({ address, port }: Listener) =>
    address === '' ? `port ${port}` : `${address}:${port}`;
  const message = `The ${other.direction} listener on ${show(other)} takes ${show(listener)} already`;
  complaints.add('listener-conflict', at, message, 'Give this listener a port of its own.');
}
