/**
 * Endpoint identity: which SPIFFE id has to answer at an endpoint, for callers that speak mutual TLS.
 *
 * The label `security.istio.io/tlsMode: istio`, which injection gives to pods and people to machines
 * with a sidecar, says that there is one; the service account says which. A port whose PeerAuthentication
 * says DISABLE does not end mutual TLS, so there is nobody to prove anything; nor is there at a port that
 * the sidecar of a pod does not capture.
 */

import type { PortRange } from '../../base/port-list.ts';
import { hasSidecar } from '../resource/labels.ts';
import type { Labels } from '../resource/values.ts';
import type { PeerModes } from './peer-modes.ts';

/** As in Kubernetes, where nobody names one. */
export const usualServiceAccount = 'default';

/** Whose an endpoint is. */
export interface EndpointOwner {
  readonly namespace: string;
  readonly serviceAccount: string;
  readonly labels: Labels;
  /** At these nobody ends mutual TLS, whatever the labels say. */
  readonly plainPorts: readonly PortRange[];
}

export class EndpointIdentities {
  readonly #modes: PeerModes;
  readonly #trustDomain: string;

  constructor(modes: PeerModes, trustDomain: string) {
    this.#modes = modes;
    this.#trustDomain = trustDomain;
  }

  /** Empty: nobody there has a sidecar that ends mutual TLS. */
  identityOf(owner: EndpointOwner | undefined, port: number): string {
    if (owner === undefined || !hasSidecar(owner.labels)) return '';
    const { namespace, serviceAccount, labels, plainPorts } = owner;
    if (plainPorts.some(({ first, last }) => port >= first && port <= last)) return '';
    if (this.#modes.modeAt(namespace, labels, port) === 'disable') return '';
    return `spiffe://${this.#trustDomain}/ns/${namespace}/sa/${serviceAccount}`;
  }
}
