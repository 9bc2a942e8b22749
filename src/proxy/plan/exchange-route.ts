/**
 * Where one request goes: its rule, the backend that its weights choose, how long it may take, and
 * whether it goes there as it was sent. Pure, but for the windows of weighted choices.
 *
 *   goes round? ─► rule of its authority, else of the ─► backend, or the very endpoint that was dialled
 *                  service whose address was dialled
 *                        ├─ broken: its cause
 *                        └─ none: captured, so where it was going anyway, if that is allowed
 *
 * As sent: a request that was captured and that no VirtualService is about. Whoever sent it did not
 * call a proxy, so nothing is changed in it (RFC 9110 section 3.7, interception).
 */

import type { Milliseconds } from '../../base/clock.ts';
import { type Failure, failure } from '../../model/failure.ts';
import { nextWeighted } from '../../routing/weighted-choice.ts';
import type { MessageHead } from '../../wire/http1/message-head.ts';
import { Reason, type Refusal, refuse } from '../../wire/http1/refusal.ts';
import type { EndpointPool } from '../upstream/endpoint-pool.ts';
import type { DestinationPlan } from './capture-lookup.ts';
import type { EntranceServer } from './entrance.ts';
import type { BackendPlan, ListenerPlan, RulePlan } from './plan.ts';

/** What the choice depends on beside the plan and the request: where its connection came from. */
export interface RouteAsker {
  /** The connection was going somewhere else before it came here. */
  readonly isCaptured: boolean;
  /** There; asked for only when no virtual host knows the authority. */
  readonly passthrough: BackendPlan | undefined;
  /** What is known of the address there; undefined: nothing, or it was not captured. */
  readonly known: DestinationPlan | undefined;
  /** What is not known may not be called. */
  readonly isDenying: boolean;
  /** By which server of a Gateway it came, where TLS has chosen one. */
  readonly server?: EntranceServer | undefined;
}

export interface DenialPrinter {
  /** What to tell whoever called `hostname`, which may not be. */
  deniedDetail(hostname: string): string;
}

const DETAIL_MAX = 200;

/** One object an exchange, reused. What was chosen before a failure was met stays in it. */
export class RouteChoice {
  rule: RulePlan | undefined = undefined;
  backend: BackendPlan | undefined = undefined;
  /** The endpoint of `backend` that was dialled; undefined: any of them. */
  pinned: EndpointPool | undefined = undefined;
  /** For the whole exchange; Infinity = no limit. */
  timeoutMs: Milliseconds = Number.POSITIVE_INFINITY;
  isAsSent = false;
  /** Even then the path goes on in its normal form: that is what policies have judged. */
  isPathSettled = false;
  /** Lines that a Gateway adds to the head: who the client is. */
  clientLines = '';

  clear(): void {
    this.rule = undefined;
    this.backend = undefined;
    this.pinned = undefined;
    this.timeoutMs = Number.POSITIVE_INFINITY;
    this.isAsSent = false;
    this.isPathSettled = false;
    this.clientLines = '';
  }
}

/** Chooses into `out`; returns why the request goes nowhere. */
export function chooseRoute(
  plan: ListenerPlan,
  head: MessageHead,
  asker: RouteAsker,
  isLoop: boolean,
  out: RouteChoice,
): Failure | undefined {
  out.clear();
  if (isLoop) return failure.loop;
  const { entrance } = plan;
  if (entrance?.isMisdirected(head.view.hostname, asker.server)) return failure.misdirected;
  const found = plan.index.match(head.view) ?? matchAddress(plan, head, asker.known);
  if (found === undefined) return passOn(plan, head, asker, out);
  const { rule } = found;
  out.rule = found;
  out.isAsSent = found.isDefault && asker.isCaptured;
  if (rule.broken !== undefined) return failure[rule.broken];
  if (head.fault !== 0 && !out.isAsSent && !maySuit(found, head)) {
    return failure[faultOf(head).cause];
  }
  const backend = found.backends[nextWeighted(found.weights)];
  if (backend === undefined) return failure['no-backend'];
  out.backend = backend;
  if (found.isDefault && asker.known !== undefined) out.pinned = endpointOf(backend, asker.known);
  out.timeoutMs = rule.timeoutMs;
  return undefined;
}

/** The rule of the service whose address was dialled, for an authority that nobody has defined. */
function matchAddress(
  { index }: ListenerPlan,
  head: MessageHead,
  known: DestinationPlan | undefined,
): RulePlan | undefined {
  if (known === undefined || !isBalanced(known)) return undefined;
  if (index.knows(head.view.hostname)) return undefined;
  return index.matchAs(known.destination.service, head.view);
}

/** Whether the address is one for all endpoints of its service. */
function isBalanced({ destination, isAnyAddress }: DestinationPlan): boolean {
  return destination.kind === 'service' && !isAnyAddress;
}

/** Who dials an endpoint means that one, unless somebody has written rules for the name it asks for. */
export function endpointOf(
  { cluster }: Pick<BackendPlan, 'cluster'>,
  { destination }: DestinationPlan,
): EndpointPool | undefined {
  if (destination.kind !== 'endpoint') return undefined;
  const { address, port } = destination;
  return cluster.pools.find((pool) => pool.port === port && pool.address === address);
}

/** A captured request to an authority that nobody has defined goes where it was going. */
function passOn(
  { index }: ListenerPlan,
  head: MessageHead,
  { passthrough, known, isDenying }: RouteAsker,
  out: RouteChoice,
): Failure | undefined {
  const isMeant =
    index.knows(head.view.hostname) ||
    (known !== undefined && isBalanced(known) && index.knows(known.destination.service));
  if (passthrough === undefined || isMeant) {
    return head.fault === 0 ? failure['no-route'] : failure[faultOf(head).cause];
  }
  if (isDenying && (known === undefined || known.isAnyAddress)) return failure['egress-denied'];
  out.backend = passthrough;
  out.isAsSent = true;
  return undefined;
}

/**
 * A head with one fault may follow a rule all the same: a method is what it is, known or not, and a
 * path without a normal form goes on as it is where nobody looks at it.
 */
function maySuit({ looksAtPaths }: RulePlan, head: MessageHead): boolean {
  const { fault, faults, targetAuthority } = head;
  if (faults !== 1) return false;
  if (fault === Reason.MethodUnknown) return true;
  const isPath = fault === Reason.TargetHiddenByte || fault === Reason.TargetEscape;
  return isPath && !looksAtPaths && targetAuthority === '';
}

/** Why `head` goes nowhere, beside `what` itself, for a person. */
export function detailOf(what: Failure, head: MessageHead, asker: DenialPrinter): string {
  if (what === failure['egress-denied']) return asker.deniedDetail(head.view.hostname);
  return `${head.authority()} ${head.path()}`.slice(0, DETAIL_MAX);
}

/** What is wrong with a head that can only go on as it was sent; `Reason.None` when nothing is. */
export function faultOf(head: MessageHead): Refusal {
  return refuse(head.fault, 'request', head.faultAt, head.faultField);
}
