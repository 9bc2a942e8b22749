/**
 * Guard: asks the policies of a workload about calls, and tells counters and records what came of it.
 *
 * One for each table that has policies. It decides nothing itself (policy/authorize.ts does), and it
 * stands before every choice of a route: what it denies has reached nobody.
 */

import type { Socket } from 'node:net';
import { TLSSocket } from 'node:tls';
import { type Failure, failure } from '../../model/failure.ts';
import type { AuthorizationPlan, AuthorizationPolicy } from '../../model/security.ts';
import { AuthorizationVerdict, Authorizer } from '../../policy/authorize.ts';
import { Caller } from '../../policy/caller.ts';
import type { PolicyCount } from '../../telemetry/metrics/policy-counts.ts';
import { type ExchangeRecord, PolicyBit } from '../../telemetry/record/exchange-record.ts';
import { policyPair } from '../../telemetry/record/policy-name.ts';
import { settleJudgedPath } from '../../wire/http1/judged-path.ts';
import type { MessageHead } from '../../wire/http1/message-head.ts';
import { Reason } from '../../wire/http1/refusal.ts';
import type { MeshPeer } from '../mesh/mesh-peer.ts';
import { faultOf } from '../plan/exchange-route.ts';
import type { ProxyScope } from '../scope/proxy-scope.ts';
import { plainAddress } from '../socket/print-address.ts';
import { clientAddressOf } from './client-address.ts';
import type { DownstreamConnection } from './downstream-connection.ts';
import { withholdSwitch } from './unjudged-switch.ts';

/** Names of policies that a denial lists. */
const NAMES_MAX = 3;
const DETAIL_MAX = 400;

/** What a connection is asked about beside its socket. */
export interface GuardedOwner {
  /** Where the downstream connected to, or meant to. */
  readonly port: number;
  /** The same; undefined: to the socket's own address. */
  readonly destination?: { readonly address: string };
}

/** How telemetry knows a policy. */
interface Known {
  readonly text: string;
  readonly nameId: number;
  readonly count: PolicyCount;
  /** Ids of it and an AUDIT policy that held for the same call. */
  readonly beside: Map<AuthorizationPolicy, number>;
}

export class Guard {
  readonly authorizer: Authorizer;
  /** Why the last call was denied, for a person. */
  detail = '';
  readonly #scope: ProxyScope;
  readonly #verdict = new AuthorizationVerdict();
  readonly #known = new Map<AuthorizationPolicy, Known>();

  constructor(scope: ProxyScope, plan: AuthorizationPlan) {
    this.#scope = scope;
    this.authorizer = new Authorizer(plan);
  }

  /**
   * Why the request may not go on, undefined if it may; `detail` says more, and `record` what was decided.
   * A head that could be read in two ways is refused for that: nobody knows which one its server takes.
   */
  onRequest(
    head: MessageHead,
    downstream: DownstreamConnection,
    record: ExchangeRecord,
  ): Failure | undefined {
    this.detail = '';
    if (head.fault !== Reason.None && this.authorizer.looksAtRequests) {
      const isOddMethod = head.fault === Reason.MethodUnknown && head.faults === 1;
      if (!isOddMethod) return failure[faultOf(head).cause];
    }
    if (this.authorizer.looksAtRequests) settleJudgedPath(head);
    const caller = downstream.caller ?? callerOf(downstream);
    downstream.caller = caller;
    caller.setRemote(clientAddressOf(head, downstream, this.#scope.outside.trustedHops));
    if (this.authorizer.authorize(caller, head.view, this.#verdict)) {
      this.#note(record);
      if (this.authorizer.looksAtRequests) withholdSwitch(head);
      return undefined;
    }
    this.#note(record);
    return this.#refuse(caller, `${head.view.method} ${head.path()}`);
  }

  /** The same of a connection that is to be relayed unread. */
  onConnection(caller: Caller, record: ExchangeRecord): Failure | undefined {
    this.detail = '';
    const isAllowed = this.authorizer.authorize(caller, undefined, this.#verdict);
    this.#note(record);
    return isAllowed ? undefined : this.#refuse(caller, `a connection to port ${caller.port}`);
  }

  /** As `onConnection`, and nobody is told. */
  judge(caller: Caller): Failure | undefined {
    this.detail = '';
    if (this.authorizer.authorize(caller, undefined, this.#verdict)) return undefined;
    return this.#refuse(caller, `a connection to port ${caller.port}`);
  }

  #note(record: ExchangeRecord): void {
    const { denying, isForLack, wouldDeny, audits } = this.#verdict;
    // What was denied anyway is not news.
    const policy = denying ?? wouldDeny;
    if (policy === undefined && audits === undefined) return;
    let bits = 0;
    if (denying !== undefined) {
      this.#knownOf(denying).count.denied++;
      bits = isForLack ? PolicyBit.Denied | PolicyBit.NoneAllows : PolicyBit.Denied;
    } else if (wouldDeny !== undefined) {
      this.#knownOf(wouldDeny).count.wouldDeny++;
      bits = PolicyBit.WouldDeny;
    }
    if (audits !== undefined) {
      this.#knownOf(audits).count.audited++;
      bits |= PolicyBit.Audited;
    }
    record.policyBits = bits;
    record.policyId = this.#idOf(policy, audits);
  }

  /** A record has room for one name: two policies are one too (policy-name.ts), of pairs that are met. */
  #idOf(policy: AuthorizationPolicy | undefined, audits: AuthorizationPolicy | undefined): number {
    if (policy === undefined || audits === undefined)
      return this.#knownOf(policy ?? audits!).nameId;
    const { text, beside } = this.#knownOf(policy);
    const id = beside.get(audits);
    if (id !== undefined) return id;
    const { names } = this.#scope.telemetry;
    const made = names.idOf(policyPair(text, this.#knownOf(audits).text));
    beside.set(audits, made);
    return made;
  }

  #knownOf(policy: AuthorizationPolicy): Known {
    return this.#known.get(policy) ?? this.#learn(policy);
  }

  #learn(policy: AuthorizationPolicy): Known {
    const { names, metrics } = this.#scope.telemetry;
    const text = `${policy.name} ${policy.origin.slice(policy.origin.lastIndexOf('/') + 1)}`;
    const known = {
      text,
      nameId: names.idOf(text),
      count: metrics.policies.of(policy.name),
      beside: new Map<AuthorizationPolicy, number>(),
    };
    this.#known.set(policy, known);
    return known;
  }

  #refuse(caller: Caller, call: string): Failure {
    const { denying, isForLack } = this.#verdict;
    const { name, isUnsupported } = denying!;
    const whom = caller.describe();
    const why = isForLack
      ? `no rule of ${this.#allowNames()} lets ${whom} in`
      : `${name} denies ${whom}`;
    // Nobody can prove anything to a sidecar that has no roots to verify it by.
    const isBlind = this.#scope.mesh === undefined && this.authorizer.looksAtIdentities;
    const hint = isBlind ? '; this sidecar has no identity (--identity), so it knows nobody' : '';
    this.detail = `${`${why}: ${call}`.slice(0, DETAIL_MAX)}${hint}`;
    return isUnsupported ? failure['policy-unsupported'] : failure.denied;
  }

  #allowNames(): string {
    const names = this.authorizer.plan.allow
      .filter(({ isDryRun }) => !isDryRun)
      .map(({ name }) => name);
    const more = names.length - NAMES_MAX;
    const shown = names.slice(0, NAMES_MAX).join(', ');
    return more > 0 ? `${shown} and ${more} more` : shown;
  }
}

function callerOf(downstream: DownstreamConnection): Caller {
  const { owner, socket, meshPeer, socketAddress } = downstream;
  return makeCaller(owner, socket, meshPeer, socketAddress, serverNameOf(socket));
}

/**
 * @param address of the socket's other end, whatever that says of whom it speaks for
 * @param serverName of a ClientHello; '' without one
 */
export function makeCaller(
  { port, destination }: GuardedOwner,
  socket: Socket,
  meshPeer: MeshPeer | undefined,
  address: string,
  serverName: string,
): Caller {
  return new Caller({
    identity: meshPeer?.id ?? '',
    address,
    destinationAddress: destination?.address ?? plainAddress(socket.localAddress ?? ''),
    destinationPort: port,
    serverName,
  });
}

function serverNameOf(socket: Socket): string {
  if (!(socket instanceof TLSSocket)) return '';
  // Of a server's socket it is the name that was asked for, or false (node:tls).
  const { servername } = socket as TLSSocket & { servername?: string | false };
  return servername || '';
}
