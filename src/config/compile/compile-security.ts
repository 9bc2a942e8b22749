/**
 * Compile security: what calls to one workload must prove, and who of those that prove it may call.
 */

import type { InboundSecurity } from '../../model/security.ts';
import { usualTrustDomain } from '../../model/security.ts';
import type { Labels } from '../resource/values.ts';
import type { Complaints } from '../syntax/complaints.ts';
import type { World } from '../world/world.ts';
import { usualRootNamespace } from '../world/world.ts';
import { compileAuthorization } from './compile-authorization.ts';

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
