/**
 * Compile security: what calls to one workload must prove, and who of those that prove it may call.
 */

import type { InboundSecurity } from '../model/security.ts';
import { usualTrustDomain } from '../model/security.ts';
import { compileAuthorization } from './compile-authorization.ts';
import { usualRootNamespace } from './compile-tracing.ts';
import type { Complaints } from './complaints.ts';
import type { Labels } from './values.ts';
import type { World } from './world.ts';

/** The workload whose table is compiled. */
export interface SecuredWorkload {
  readonly namespace: string;
  readonly labels: Labels;
  readonly rootNamespace?: string;
  readonly trustDomain?: string;
}

export function compileSecurity(
  world: World,
  workload: SecuredWorkload,
  complaints: Complaints,
): InboundSecurity {
  const { namespace, labels } = workload;
  const { rootNamespace = usualRootNamespace, trustDomain = usualTrustDomain } = workload;
  const { mode, origin, ports } = world.peerModes.modesOf(namespace, labels, complaints);
  const guarded = { namespace, labels, rootNamespace, trustDomain };
  return { mode, origin, ports, authorization: compileAuthorization(world.policies, guarded) };
}
