/**
 * SPIFFE ids of workloads: `spiffe://TRUST-DOMAIN/ns/NAMESPACE/sa/SERVICE-ACCOUNT`.
 *
 * One spelling a workload: a text is an id only if every character of it could have been written by
 * `workloadId`; no percent-encoding, no port, no query, no empty or dotted segment (SPIFFE-ID, section 2).
 */

import { identityLimits } from '../model/authority-limits.ts';
import type { Svid, SvidProblem } from './svid.ts';

const { idBytesMax, trustDomainLengthMax } = identityLimits;
const scheme = 'spiffe://';
/** Kubernetes: a DNS label and a DNS subdomain (RFC 1123). */
const namespaceLengthMax = 63;
const serviceAccountLengthMax = 253;

/** The id; undefined when a part has characters or a length that an id cannot have. */
export function workloadId(
  trustDomain: string,
  namespace: string,
  serviceAccount: string,
): string | undefined {
  const id = `${scheme}${trustDomain}/ns/${namespace}/sa/${serviceAccount}`;
  return 'id' in readSpiffeId(id) ? id : undefined;
}

/** What is wrong with a trust domain's name, for a person; undefined: nothing (SPIFFE-ID, 2.1). */
export function trustDomainProblem(name: string): string | undefined {
  if (name === '') return 'is empty';
  if (name.length > trustDomainLengthMax)
    return `is longer than ${trustDomainLengthMax} characters`;
  if (/[A-Z]/.test(name)) return 'has capital letters';
  return /^[a-z0-9._-]+$/.test(name) ? undefined : 'has characters other than a-z 0-9 . _ -';
}

/** The parts of an id, or what keeps the text from being one. */
export function readSpiffeId(text: string): Svid | SvidProblem {
  if (text.length > idBytesMax) {
    return { problem: `an id of ${text.length} bytes; at most ${idBytesMax} are allowed` };
  }
  if (!text.startsWith(scheme)) return { problem: `${quoted(text)} is no spiffe:// id` };
  const [trustDomain = '', ...path] = text.slice(scheme.length).split('/');
  const domainProblem = trustDomainProblem(trustDomain);
  if (domainProblem !== undefined) {
    return { problem: `the trust domain of ${quoted(text)} ${domainProblem}` };
  }
  const [ns, namespace = '', sa, serviceAccount = ''] = path;
  if (path.length !== 4 || ns !== 'ns' || sa !== 'sa') {
    return { problem: `${quoted(text)} is not spiffe://TRUST-DOMAIN/ns/NAMESPACE/sa/ACCOUNT` };
  }
  const problem =
    segmentProblem(namespace, namespaceLengthMax) ??
    segmentProblem(serviceAccount, serviceAccountLengthMax);
  if (problem !== undefined) return { problem: `a name in ${quoted(text)} ${problem}` };
  return { id: text, trustDomain, namespace, serviceAccount };
}

/** SPIFFE-ID 2.2: letters, digits, dots, dashes and underscores, and no relative segment. */
function segmentProblem(segment: string, lengthMax: number): string | undefined {
  if (segment === '') return 'is empty';
  if (segment === '.' || segment === '..') return 'is a relative path';
  if (segment.length > lengthMax) return `is longer than ${lengthMax} characters`;
  return /^[A-Za-z0-9._-]+$/.test(segment)
    ? undefined
    : 'has characters other than A-Z a-z 0-9 . _ -';
}

/** Short, and with nothing that a terminal obeys. */
function quoted(text: string): string {
  return JSON.stringify(text.length > 120 ? `${text.slice(0, 120)}...` : text);
}
