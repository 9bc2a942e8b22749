/**
 * Where one connection goes that is not read: by the rules of its original destination. Pure, but for the
 * windows of weighted choices.
 *
 *   known address ─► first rule that takes it ─► backend, or the very endpoint that was dialled
 *        │              └─ broken: its cause
 *        └─ no rule: where it was going anyway          unknown address: the same, if that is allowed
 */

import { type Failure, failure } from '../../model/failure.ts';
import { nextWeighted } from '../../routing/weighted-choice.ts';
import type { OriginalDestination } from '../socket/original-destination.ts';
import type { EndpointPool } from '../upstream/endpoint-pool.ts';
import type { ConnectionBackend, ConnectionPlan, DestinationPlan } from './capture-lookup.ts';
import { endpointOf } from './exchange-route.ts';

/** What the choice depends on. */
export interface ConnectionAsker {
  readonly destination: OriginalDestination;
  readonly known: DestinationPlan | undefined;
  readonly isDenying: boolean;
  /** Nobody knows who it is, and that has to be known. */
  readonly isRefusing: boolean;
  /** Where it was going; asked for only when it goes there. */
  readonly passthrough: ConnectionBackend;
}

export interface ConnectionChoice {
  readonly backend: ConnectionBackend;
  /** Undefined: it goes where it was going. */
  readonly rule: ConnectionPlan | undefined;
  /** The endpoint of `backend` that was dialled; undefined: any of them. */
  readonly pinned: EndpointPool | undefined;
}

/** @param name of the ClientHello, '' without one */
export function chooseConnection(asker: ConnectionAsker, name: string): ConnectionChoice | Failure {
  const { known, destination, isDenying } = asker;
  if (asker.isRefusing) return failure['no-identity'];
  const position = known === undefined ? -1 : known.rules.match(name, destination.address);
  const rule = known?.connections[position];
  if (known === undefined || rule === undefined) {
    const isUnknown = known === undefined || known.isAnyAddress;
    if (isUnknown && isDenying) return failure['egress-denied'];
    return { backend: asker.passthrough, rule: undefined, pinned: undefined };
  }
  const { broken } = rule.rule;
  if (broken !== undefined) return failure[broken];
  const backend = rule.backends[nextWeighted(rule.weights)];
  if (backend === undefined) return failure['no-backend'];
  const pinned = rule.isDefault ? endpointOf(backend, known) : undefined;
  return { backend, rule, pinned };
}

export function isFailure(choice: ConnectionChoice | Failure): choice is Failure {
  return 'cause' in choice;
}
