/**
 * Read policy: a resource that says who may call, which is never left out for a mistake in it.
 *
 * Whatever is wrong, the result is a resource: one that is not sound denies everything that it selects,
 * and one whose selector cannot be read selects its whole namespace.
 */

import type { Cursor } from '../syntax/cursor.ts';
import {
  authorizationPolicySpec,
  emptyPolicy,
  requestAuthenticationSpec,
} from './authorization-policy.ts';
import type { AuthorizationPolicyResource, RequestAuthenticationResource } from './resource.ts';

export type PolicyKind = 'AuthorizationPolicy' | 'RequestAuthentication';

export function isPolicyKind(kind: string): kind is PolicyKind {
  return kind === 'AuthorizationPolicy' || kind === 'RequestAuthentication';
}

interface Head {
  readonly namespace: string;
  readonly name: string;
}

const DRY_RUN = 'istio.io/dry-run';

/** @param written undefined where there is none, which has been complained of */
export function readPolicy(
  kind: PolicyKind,
  head: Head,
  root: Cursor,
  written: Cursor | undefined,
  isSound: () => boolean,
): AuthorizationPolicyResource | RequestAuthenticationResource {
  const { at } = root;
  if (kind === 'RequestAuthentication') {
    const read = written && requestAuthenticationSpec(written);
    const message =
      'RequestAuthentication asks for tokens, and JSON Web Tokens are not checked yet';
    complainOfPolicy(root, message, false);
    return { kind, ...head, spec: read ?? { selector: undefined }, at, isSound: false };
  }
  const read = written && authorizationPolicySpec(written);
  const isDryRun = readDryRun(root);
  const isWhole = isSound();
  if (!isWhole) complainOfPolicy(root, 'The policy cannot be evaluated as it is written', isDryRun);
  const spec = read ?? emptyPolicy;
  return { kind, ...head, spec, at, isSound: isWhole, isDryRun, isAside: false };
}

function complainOfPolicy(root: Cursor, message: string, isDryRun: boolean): void {
  const effect = isDryRun
    ? 'so it says of everything that it selects that it would be denied; a dry run blocks nothing'
    : 'so everything that it selects is denied';
  const fix = 'Mend what is complained of, or remove the resource.';
  root.complain('policy-unsupported', `${message}, ${effect}`, fix);
}

/** Anything but `true` and `false` is a mistake, and then the policy is in force. */
function readDryRun(root: Cursor): boolean {
  const value = inside(inside(inside(root, 'metadata'), 'annotations'), DRY_RUN);
  if (value === undefined || value.isNull) return false;
  const written = value.scalar();
  if (written === 'true' || written === 'false') return written === 'true';
  const message = `\`${DRY_RUN}\` is ${value.describe()}`;
  value.complain('value-unknown', message, 'Write "true" or "false", in quotes.');
  return false;
}

function inside(cursor: Cursor | undefined, key: string): Cursor | undefined {
  return cursor?.entries()?.find((each) => each.key === key)?.value;
}
