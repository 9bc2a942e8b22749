/**
 * The namespace mirror, its rule: annotation `tracecar.dev/inject` -> label of the same name.
 *
 * People annotate, but the API server can select by labels only. A label that the mirror wrote is
 * marked by an annotation with its value, so that the label goes when the annotation goes and one
 * that a person wrote stays. Pure; the state of the world is all in the namespace itself:
 *
 *    annotation   label     mark      ->  label     mark
 *    enabled      any       any           enabled   enabled   (no mark if a person's label is equal)
 *    absent       enabled   enabled       -         -
 *    absent       any       other         as it is  -
 */

import type { AdmissionAnswer, AdmissionRequest } from './admission.ts';
import { injectKey, namespaceProblems } from './annotations.ts';
import { diff } from './json-patch.ts';
import { isObject } from './pod.ts';

/** What the mirror wrote into the label. Not below `tracecar.dev/`: it is nobody's wish. */
export const mirrorMark = 'mirror.tracecar.dev/inject';

export interface Labelled {
  readonly labels?: Readonly<Record<string, string>> | null;
  readonly annotations?: Readonly<Record<string, string>> | null;
}

/** A JSON merge patch of `metadata`: null removes. */
export interface MirrorChange {
  readonly labels?: Readonly<Record<string, string | null>>;
  readonly annotations?: Readonly<Record<string, string | null>>;
}

export interface MirrorVerdict {
  /** Undefined when the namespace is as it should be. */
  readonly change: MirrorChange | undefined;
  /** For the person who writes the namespace; without a prefix. */
  readonly warnings: readonly string[];
}

/** The rule. `exempt` are the system's namespaces and our own. */
export function mirrorNamespace(
  name: string,
  { labels, annotations }: Labelled,
  exempt: readonly string[],
): MirrorVerdict {
  const asked = annotations?.[injectKey];
  const label = labels?.[injectKey];
  const mark = annotations?.[mirrorMark];
  const warnings: string[] = [];
  let wanted: string | undefined;
  if (asked !== undefined && exempt.includes(name)) {
    warnings.push(`pods of namespace ${name} never get a sidecar; ${injectKey} has no effect here`);
  } else if (asked === 'enabled' || asked === 'disabled') wanted = asked;
  // What is wrong with another word is said by `namespaceProblems`; what held before stays.
  else if (asked !== undefined) return unchanged(warnings);
  if (wanted !== undefined) {
    if (label === wanted && (mark === undefined || mark === wanted)) return unchanged(warnings);
    if (label !== undefined && label !== mark && label !== wanted) {
      warnings.push(
        `label ${injectKey} follows the annotation of that name: it is ${wanted} again; change the annotation`,
      );
    }
    const change = { labels: { [injectKey]: wanted }, annotations: { [mirrorMark]: wanted } };
    return { change, warnings };
  }
  if (mark === undefined) return unchanged(warnings);
  const change: MirrorChange = {
    annotations: { [mirrorMark]: null },
    ...(label === mark ? { labels: { [injectKey]: null } } : {}),
  };
  return { change, warnings };
}

function unchanged(warnings: readonly string[]): MirrorVerdict {
  return { change: undefined, warnings };
}

/**
 * A Reviewer for /inject/namespaces: the label is there before the namespace is, and a mistake in what
 * is ours is refused by whoever makes it. One that is stored already is a warning: a namespace must not
 * be stuck for what somebody else wrote long ago.
 */
export function reviewNamespace(
  request: AdmissionRequest,
  exempt: readonly string[],
): AdmissionAnswer {
  const { resource, apiGroup, subResource, operation, object, oldObject } = request;
  const isOurs =
    resource === 'namespaces' &&
    apiGroup === '' &&
    subResource === '' &&
    (operation === 'CREATE' || operation === 'UPDATE');
  if (!isOurs || object === undefined) return allowed([], []);
  const read = readLabelled(object.metadata);
  if (read === undefined)
    return allowed([], ['tracecar: the namespace has labels of a strange shape']);
  const name = request.name !== '' ? request.name : nameOf(object.metadata);
  const { change, warnings } = mirrorNamespace(name, read, exempt);
  const next = change === undefined ? object : withChange(object, change);
  const problems = exempt.includes(name) ? [] : problemsOf(next);
  const stored = problems.length === 0 || oldObject === undefined ? [] : problemsOf(oldObject);
  const made = problems.filter((problem) => !stored.includes(problem));
  if (made.length > 0) {
    return { allowed: false, message: `tracecar: ${made.join('; ')}`, warnings: [], audit: {} };
  }
  const said = [...warnings, ...problems].map((warning) => `tracecar: ${warning}`);
  return allowed(change === undefined ? [] : diff(object, next), said);
}

function problemsOf({ metadata }: Record<string, unknown>): string[] {
  const { labels, annotations } = readLabelled(metadata) ?? {};
  return namespaceProblems(labels ?? {}, annotations ?? {});
}

function allowed(
  operations: ReturnType<typeof diff>,
  warnings: readonly string[],
): AdmissionAnswer {
  return { allowed: true, operations, warnings, audit: {} };
}

/** Labels and annotations of `metadata` when they are maps of texts. */
function readLabelled(metadata: unknown): Labelled | undefined {
  if (!isObject(metadata)) return undefined;
  const { labels, annotations } = metadata;
  if (!isTextMap(labels) || !isTextMap(annotations)) return undefined;
  return { labels: labels ?? null, annotations: annotations ?? null };
}

function isTextMap(value: unknown): value is Record<string, string> | null | undefined {
  if (value === undefined || value === null) return true;
  return isObject(value) && Object.values(value).every((each) => typeof each === 'string');
}

function nameOf(metadata: unknown): string {
  return isObject(metadata) && typeof metadata.name === 'string' ? metadata.name : '';
}

function withChange(
  object: Record<string, unknown>,
  change: MirrorChange,
): Record<string, unknown> {
  const metadata = isObject(object.metadata) ? object.metadata : {};
  const next: Record<string, unknown> = { ...metadata };
  for (const field of ['labels', 'annotations'] as const) {
    const changes = change[field];
    if (changes === undefined) continue;
    const old = metadata[field];
    const map: Record<string, unknown> = isObject(old) ? { ...old } : {};
    for (const [key, value] of Object.entries(changes)) {
      if (value === null) delete map[key];
      else map[key] = value;
    }
    next[field] = map;
  }
  return { ...object, metadata: next };
}
