/**
 * Check capture: complaints about Sidecars that depend on whether connections are captured.
 *
 * Files alone cannot say it: the same Sidecar is right in an injected pod and wrong on a plain machine.
 * A listener has a socket of its own (`isBound`), or it takes the captured connections of its port.
 */

import { isIP } from 'node:net';
import type { SidecarResource } from '../resource/resource.ts';
import { type EgressListener, type IngressListener, overlaps } from '../resource/sidecar.ts';
import type { Complaints, Place } from '../syntax/complaints.ts';
import type { World } from '../world/world.ts';

/** `redirect`: the connections of the workload arrive at the sidecar, whatever they were meant for. */
export type Capture = 'none' | 'redirect';

type AnyListener = IngressListener | EgressListener;

/**
 * Whether a listener has a socket of its own: always without capture; with it when `captureMode` says
 * NONE, or by default when `bind` says where.
 */
export function isBound({ captureMode, bind }: AnyListener, capture: Capture): boolean {
  if (capture === 'none' || captureMode === 'none') return true;
  return bind !== undefined && captureMode !== 'iptables';
}

/** Whether an ingress listener with its own socket would connect to itself. */
export function isLoop(listener: IngressListener, capture: Capture): boolean {
  const { port, bind, defaultEndpoint } = listener;
  if (!isBound(listener, capture) || defaultEndpoint.port !== port.number) return false;
  return bind === undefined || isIP(bind) === 0 || overlaps(bind, defaultEndpoint.address);
}

export function checkCapture(world: World, capture: Capture, complaints: Complaints): void {
  for (const sidecar of world.sidecars) {
    const { ingress, egress } = sidecar.spec;
    for (const each of ingress ?? []) {
      checkMode(each, capture, complaints);
      if (isLoop(each, capture)) {
        const fix = 'Give the listener another port than the application.';
        const at = fieldPlace(each, 'defaultEndpoint');
        complaints.add('listener-loop', at, 'This listener forwards to itself', fix);
      }
    }
    for (const each of egress ?? []) {
      checkMode(each, capture, complaints);
      checkPort(each, capture, complaints);
    }
    checkPolicy(sidecar, capture, complaints);
  }
}

function checkMode(listener: AnyListener, capture: Capture, complaints: Complaints): void {
  if (listener.captureMode !== 'iptables') return;
  if (capture === 'none') {
    const message = '`IPTABLES` needs capture, and this sidecar captures nothing';
    const fix = 'Write `NONE`; or `--capture redirect` if this is for pods.';
    complaints.add('needs-capture', fieldPlace(listener, 'captureMode'), message, fix);
  } else if (listener.bind !== undefined) {
    const message = '`bind` is for a listener with a socket of its own, and `IPTABLES` is not';
    const fix = 'Remove `bind`, or write `captureMode: NONE`.';
    complaints.add('one-of', fieldPlace(listener, 'bind'), message, fix);
  }
}

function checkPort(listener: EgressListener, capture: Capture, complaints: Complaints): void {
  if ('port' in listener.offsets || !isBound(listener, capture)) return;
  const message =
    capture === 'none'
      ? 'This listener has no port: it can only be reached with capture'
      : 'This listener has a socket of its own, but no port';
  const fix =
    'Add `port: {number: PORT, protocol: HTTP}`; the application calls 127.0.0.1:PORT.' +
    (capture === 'none' ? ' In a pod it is right: `--capture redirect`.' : '');
  complaints.add('listener-without-port', listener.at, message, fix);
}

function checkPolicy(sidecar: SidecarResource, capture: Capture, complaints: Complaints): void {
  const policy = sidecar.spec.outboundTrafficPolicy;
  if (policy?.mode === undefined) return;
  const at = fieldPlace(policy, 'mode');
  if (capture === 'none' && policy.mode === 'allow-any') {
    const message = '`ALLOW_ANY` needs capture; unknown hosts are answered with 404';
    complaints.add('needs-capture', at, message, 'Write `REGISTRY_ONLY`.');
  }
}

function fieldPlace(
  record: { readonly at: Place; readonly offsets: Readonly<Record<string, number>> },
  field: string,
): Place {
  const offset = record.offsets[field] ?? record.at.offset;
  return { ...record.at, path: `${record.at.path}.${field}`, offset };
}
