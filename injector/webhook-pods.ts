/**
 * The judgement of one pod: decide, patch, diff, and the words that say what happened and why.
 *
 * It joins the pure parts (decide.ts, patch.ts, json-patch.ts) with the namespace of the pod. It has
 * no side effect, so a dry run is answered like the real thing and shows the pod as it would be.
 */

import { randomUUID } from 'node:crypto';
import type { AdmissionAnswer, AdmissionRequest } from './admission.ts';
import { decide } from './decide.ts';
import { diff } from './json-patch.ts';
import { type InjectionSettings, injectPod } from './patch.ts';
import { isInjected, readStatus } from './patch-names.ts';
import { type NamespaceFacts, type Pod, readPod } from './pod.ts';
import type { WebhookSpan } from './webhook-tracer.ts';

/** The same for every pod; each new sidecar gets a drain secret of its own. */
export type SharedSettings = Omit<InjectionSettings, 'drainSecret'>;

export interface PodReviewOptions {
  /** As they are now. Throws while pods cannot be given what they are to have. */
  readonly settings: () => SharedSettings;
  /** Labels and annotations of a namespace. Rejects when they cannot be had. */
  readonly namespaceOf: (name: string) => Promise<NamespaceFacts>;
  /** One line about each pod that was judged. */
  readonly onVerdict: (verdict: PodVerdict) => void;
}

export interface PodVerdict {
  /**
   * `unchanged` and `mended` are of a pod that had its sidecar already, as in a second call for the
   * same pod; mended: what somebody put into our containers since then was taken out again.
   */
  readonly verdict: 'injected' | 'unchanged' | 'mended' | 'skipped' | 'refused';
  readonly namespace: string;
  /** The name, or the beginning of one that the API server will complete. */
  readonly pod: string;
  readonly reason: string;
  readonly isDryRun: boolean;
}

/** A Reviewer for /inject/pods. */
export async function reviewPod(
  request: AdmissionRequest,
  span: WebhookSpan,
  options: PodReviewOptions,
): Promise<AdmissionAnswer> {
  const elsewhere = whyNotOurs(request);
  if (elsewhere !== undefined) return skip(elsewhere);
  const read = readPod(request.object);
  if ('problem' in read) return refuse(`the pod cannot be read: ${read.problem}`, []);
  const namespace = await options.namespaceOf(request.namespace);
  const settings = options.settings();
  const answer = judge(read.pod, namespace, span, settings);
  const name = podName(request, read.pod);
  const verdict = verdictOf(answer, read.pod, settings.version);
  span.add({
    'k8s.namespace.name': request.namespace,
    'k8s.pod.name': name,
    'tracecar.verdict': verdict,
    'tracecar.reason': answer.audit.reason ?? '',
  });
  options.onVerdict({
    verdict,
    namespace: request.namespace,
    pod: name,
    reason: answer.audit.reason ?? '',
    isDryRun: request.isDryRun,
  });
  return answer;
}

function judge(
  pod: Pod,
  namespace: NamespaceFacts,
  span: WebhookSpan,
  shared: SharedSettings,
): AdmissionAnswer {
  // 122 random bits, which Node.js takes from a store that it fills 128 secrets at a time.
  const drainSecret = randomUUID().replaceAll('-', '');
  const settings: InjectionSettings = { ...shared, drainSecret };
  const decision = span.child('match', () => decide(pod, namespace, settings));
  const warnings = decision.warnings.map(prefixed);
  if (decision.refuse) return refuse(decision.reason, warnings);
  if (!decision.inject) {
    // Whoever made it should hear why it is plain: most often it was meant to have a sidecar.
    return { ...skip(decision.reason), warnings };
  }
  const operations = span.child('patch', () => diff(pod, injectPod(pod, namespace, settings)));
  span.add({ 'tracecar.patch.operations': operations.length });
  return {
    allowed: true,
    operations,
    warnings,
    audit: { inject: 'true', reason: auditText(decision.reason), image: settings.image },
  };
}

/** The webhook's configuration asks for created pods only; anything else passes untouched. */
function whyNotOurs(request: AdmissionRequest): string | undefined {
  const { resource, apiGroup, subResource, operation } = request;
  if (resource !== 'pods' || apiGroup !== '') return `${resource} are not injected, only pods are`;
  if (subResource !== '') return `pods/${subResource} is not injected`;
  if (operation !== 'CREATE') return `${operation} of a pod changes no container`;
  return undefined;
}

function skip(reason: string): AdmissionAnswer {
  return {
    allowed: true,
    operations: [],
    warnings: [],
    audit: { inject: 'false', reason: auditText(reason) },
  };
}

function refuse(reason: string, warnings: readonly string[]): AdmissionAnswer {
  return {
    allowed: false,
    message: prefixed(reason),
    warnings,
    audit: { inject: 'refused', reason: auditText(reason) },
  };
}

function verdictOf(answer: AdmissionAnswer, pod: Pod, version: string): PodVerdict['verdict'] {
  if (!answer.allowed) return 'refused';
  if (answer.audit.inject !== 'true') return 'skipped';
  if (answer.operations.length === 0) return 'unchanged';
  return isInjected(pod) && readStatus(pod)?.version === version ? 'mended' : 'injected';
}

function prefixed(text: string): string {
  return text.startsWith('tracecar: ') ? text : `tracecar: ${text}`;
}

/** The audit log is no place for the 250 KiB of an annotation that a reason may quote. */
function auditText(text: string): string {
  return text.slice(0, 500).toWellFormed();
}

function podName({ name }: AdmissionRequest, { metadata }: Pod): string {
  if (name !== '') return name;
  return metadata?.name || `${metadata?.generateName ?? ''}*`;
}
