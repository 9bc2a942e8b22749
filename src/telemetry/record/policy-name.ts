/**
 * Policy names: what one name of a record says of authorization policies.
 *
 *   shop/no-admin policies.yaml:3:1                              one policy and its place
 *   shop/no-admin policies.yaml:3:1 \n shop/watch audit.yaml:1:1   what decided, and an AUDIT beside it
 *
 * A record has room for one name. Whose a name is, bits of `policyBits` say.
 */

/** One policy, as a person finds it. */
export interface PolicyName {
  /** `namespace/name`. */
  readonly name: string;
  /** `file:line:column`; '' when it is not known. */
  readonly origin: string;
}

const BESIDE = '\n';

/** Names of one policy, and of an AUDIT policy that held for the same call. */
export function policyPair(policy: string, audit: string): string {
  return `${policy}${BESIDE}${audit}`;
}

/** Of a name of one policy both are the same. */
export function readPolicies(text: string): {
  readonly first: PolicyName;
  readonly audit: PolicyName;
} {
  const end = text.indexOf(BESIDE);
  if (end >= 0) return { first: read(text.slice(0, end)), audit: read(text.slice(end + 1)) };
  const only = read(text);
  return { first: only, audit: only };
}

function read(text: string): PolicyName {
  const gap = text.indexOf(' ');
  return gap < 0
    ? { name: text, origin: '' }
    : { name: text.slice(0, gap), origin: text.slice(gap + 1) };
}
