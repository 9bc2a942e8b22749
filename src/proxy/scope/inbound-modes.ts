/**
 * What inbound ports take, by PeerAuthentication: asked for every connection and every plain request.
 */

import type { InboundSecurity, PeerMode, PortMode } from '../../model/security.ts';
import { type ExchangeRecord, PolicyBit } from '../../telemetry/record/exchange-record.ts';
import type { NameTable } from '../../telemetry/record/name-table.ts';

export class InboundModes {
  readonly #mode: PeerMode;
  readonly #origin: string;
  readonly #ports: ReadonlyMap<number, PortMode>;

  constructor({ mode, origin, ports }: InboundSecurity) {
    this.#mode = mode;
    this.#origin = origin;
    this.#ports = new Map(ports.map((each) => [each.port, each]));
  }

  /** @param port of the workload: the ingress listener's, or where a captured connection went to */
  of(port: number): PeerMode {
    return this.#ports.size === 0 ? this.#mode : (this.#ports.get(port)?.mode ?? this.#mode);
  }

  isStrict(port: number): boolean {
    return this.of(port) === 'strict';
  }

  /** Says in `record` which resource keeps out who came to `port`; nothing where nobody has said. */
  note(port: number, record: ExchangeRecord, names: NameTable): void {
    const [, resource, place] =
      /^\S+ (\S+) (.+)$/.exec(this.#ports.get(port)?.origin ?? this.#origin) ?? [];
    if (resource === undefined || place === undefined) return;
    record.policyId = names.idOf(`${resource} ${place.slice(place.lastIndexOf('/') + 1)}`);
    record.policyBits = PolicyBit.Denied;
  }
}
