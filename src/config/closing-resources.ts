/**
 * Closing resources: what of a file with a mistake is in force all the same, because its absence would let
 * somebody in.
 *
 *   last good text ──► all of it                       a mistake in the present text
 *   present text ────► beside that: what cannot be evaluated (it denies what it selects), and what is new
 *
 * What is new and could open something is left out, or counts only where it cannot: so whoever adds to a
 * file, be it right or wrong, opens nothing by a mistake elsewhere in it.
 */

import { emptyPolicy } from './resource/authorization-policy.ts';
import { modeOf } from './resource/peer-authentication.ts';
import { isPolicyKind } from './resource/read-policy.ts';
import {
  type PeerAuthenticationResource,
  type Resource,
  resourceName,
} from './resource/resource.ts';
import { filePlace } from './syntax/complaints.ts';

/** A file's text and what was read of it. */
export interface ReadText {
  readonly text: string;
  readonly resources: readonly Resource[];
}

/** What of `present`, which has an error, counts beside all of `good`. */
export function closingOf(
  present: ReadText,
  good: ReadText,
  file: string,
  namespace: string,
): readonly Resource[] {
  const known = new Set(good.resources.map(keyOf));
  const closing = present.resources.flatMap((each) => closed(each, known.has(keyOf(each))));
  const written = new Set(present.resources.map(keyOf));
  // Of those that are not seen any more each may be one that cannot be read.
  const missing = good.resources.filter((each) => !written.has(keyOf(each)));
  const unread = unreadPolicies(present.text, [...present.resources, ...missing]);
  const isNew = unread > 0 && unread > unreadPolicies(good.text, good.resources);
  return isNew ? [...closing, unreadPolicy(file, namespace)] : closing;
}

/** Whether its absence would let somebody in; with mistakes inside it closes more, never less. */
export function isClosing({ kind }: Resource): boolean {
  return kind === 'PeerAuthentication' || isPolicyKind(kind);
}

/** How many more lines there are that can only be the head of one that closes, be the text YAML or not. */
export function unreadPolicies(text: string, resources: readonly Resource[]): number {
  const heads = text.match(/^[^#\n]*\bapiVersion\b[^#\n]*\bsecurity\.istio\.io\//gm)?.length ?? 0;
  return heads - resources.filter(isClosing).length;
}

/** For policies of which nothing is known but that they are there: they deny all calls to the workload. */
export function unreadPolicy(file: string, namespace: string): Resource {
  return {
    ...{ kind: 'AuthorizationPolicy', namespace, name: 'unread', spec: emptyPolicy },
    ...{ at: filePlace(file), isSound: false, isDryRun: false, isAside: false },
  };
}

function closed(resource: Resource, isKnown: boolean): readonly Resource[] {
  if (!isClosing(resource)) return [];
  if (!resource.isSound) return [resource];
  if (isKnown) return [];
  if (resource.kind === 'PeerAuthentication') return isStrict(resource) ? [resource] : [];
  return resource.kind === 'AuthorizationPolicy' ? [{ ...resource, isAside: true }] : [resource];
}

/** Whatever stood in its place before, this opens nothing. */
function isStrict({ spec }: PeerAuthenticationResource): boolean {
  const ports = spec.portLevelMtls ?? [];
  return modeOf(spec.mtls) === 'strict' && ports.every(({ value }) => modeOf(value) === 'strict');
}

function keyOf(resource: Resource): string {
  return `${resource.kind} ${resourceName(resource)}`;
}
