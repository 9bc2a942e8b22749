/**
 * What inbound ports take, by PeerAuthentication: asked for every connection and every plain request.
 */

import type { InboundSecurity, PeerMode } from '../model/security.ts';

export class InboundModes {
  readonly #mode: PeerMode;
  readonly #ports: ReadonlyMap<number, PeerMode>;

  constructor({ mode, ports }: InboundSecurity) {
    this.#mode = mode;
    this.#ports = new Map(ports.map((each) => [each.port, each.mode]));
  }

  /** @param port of the workload: the ingress listener's, or where a captured connection went to */
  of(port: number): PeerMode {
    return this.#ports.size === 0 ? this.#mode : (this.#ports.get(port) ?? this.#mode);
  }

  isStrict(port: number): boolean {
    return this.of(port) === 'strict';
  }
}
