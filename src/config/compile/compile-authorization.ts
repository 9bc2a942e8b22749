/**
 * Compile authorization: the policies that select one workload, in the form that is evaluated.
 *
 * Those of its namespace and of the root namespace whose selector fits, in the order of their names.
 * One that cannot be evaluated stands among those that deny, and so does a RequestAuthentication: what
 * would be checked there is not, so nobody gets by.
 */

import type {
  AuthorizationPlan,
  AuthorizationPolicy,
  AuthorizationRule,
  TextPattern,
  ValueMatch,
} from '../../model/security.ts';
import { noPolicies, usualTrustDomain } from '../../model/security.ts';
import { type PolicyAction, rulesOf } from '../resource/authorization-policy.ts';
import { carries, withCanonical } from '../resource/labels.ts';
import {
  type AuthorizationPolicyResource,
  type PolicyResource,
  resourceName,
} from '../resource/resource.ts';
import type { Labels } from '../resource/values.ts';
import { placeText } from '../syntax/complaints.ts';

/** Whom policies are compiled for. */
export interface GuardedWorkload {
  readonly namespace: string;
  readonly labels: Labels;
  readonly rootNamespace: string;
  readonly trustDomain: string;
}

export function compileAuthorization(
  resources: readonly PolicyResource[],
  workload: GuardedWorkload,
): AuthorizationPlan {
  const { namespace, rootNamespace, trustDomain } = workload;
  const labels = withCanonical(workload.labels);
  const plan = {
    deny: [] as AuthorizationPolicy[],
    allow: [] as AuthorizationPolicy[],
    audit: [] as AuthorizationPolicy[],
  };
  const selecting = resources.filter((resource) => {
    const isHere = resource.namespace === namespace || resource.namespace === rootNamespace;
    if (!isHere && !isOfNowhere(resource)) return false;
    return carries(labels, resource.spec.selector?.matchLabels ?? {});
  });
  const hasAllow = selecting.some((each) => isAllowing(each) && !each.isAside);
  for (const resource of selecting.toSorted(byName)) {
    if (hasAllow && isAllowing(resource) && resource.isAside) continue;
    plan[listOf(resource)].push(policyOf(resource, trustDomain));
  }
  return plan.deny.length + plan.allow.length + plan.audit.length === 0 ? noPolicies : plan;
}

/** Meant for a namespace that there cannot be: it could be this one. */
function isOfNowhere({ namespace, isSound }: PolicyResource): boolean {
  return !isSound && !/^[a-z0-9-]+$/.test(namespace);
}

/** Lets somebody in, who may be one that no other policy does. */
function isAllowing(resource: PolicyResource): resource is AuthorizationPolicyResource {
  return listOf(resource) === 'allow' && 'isDryRun' in resource && !resource.isDryRun;
}

function listOf(resource: PolicyResource): 'deny' | 'allow' | 'audit' {
  if (resource.kind === 'RequestAuthentication') return 'deny';
  const action: PolicyAction | undefined = actionOf(resource);
  if (action === 'audit' && resource.isSound) return 'audit';
  return action === 'allow' && resource.isSound ? 'allow' : 'deny';
}

/** undefined: it cannot be read. */
function actionOf({ spec, isSound }: AuthorizationPolicyResource): PolicyAction | undefined {
  return spec.action ?? (isSound ? 'allow' : undefined);
}

function policyOf(resource: PolicyResource, trustDomain: string): AuthorizationPolicy {
  const isPolicy = resource.kind === 'AuthorizationPolicy';
  const isUnsupported = !resource.isSound;
  return {
    name: resourceName(resource),
    origin: placeText(resource.at),
    isDryRun: isPolicy && resource.isDryRun,
    isUnsupported,
    rules: isPolicy && !isUnsupported ? within(rulesOf(resource.spec), trustDomain) : [],
  };
}

function byName(first: PolicyResource, second: PolicyResource): number {
  const [one, other] = [resourceName(first), resourceName(second)];
  return Number(one > other) - Number(one < other);
}

/** In Istio `cluster.local` in a principal stands for the trust domain of the mesh, whatever it is. */
function within(
  rules: readonly AuthorizationRule[],
  trustDomain: string,
): readonly AuthorizationRule[] {
  if (trustDomain === usualTrustDomain) return rules;
  const localised = (match: ValueMatch<TextPattern>) => ({
    values: match.values.map((each) => localise(each, trustDomain)),
    notValues: match.notValues.map((each) => localise(each, trustDomain)),
  });
  return rules.map((rule) => ({
    ...rule,
    from: rule.from.map((each) => ({ ...each, principals: localised(each.principals) })),
    when: rule.when.map((each) =>
      each.on === 'principal' ? { ...each, texts: localised(each.texts) } : each,
    ),
  }));
}

function localise(pattern: TextPattern, trustDomain: string): TextPattern {
  const start = `${usualTrustDomain}/`;
  if (pattern.kind !== 'exact' && pattern.kind !== 'prefix') return pattern;
  if (!pattern.value.startsWith(start)) return pattern;
  return { ...pattern, value: `${trustDomain}/${pattern.value.slice(start.length)}` };
}
