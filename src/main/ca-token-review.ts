/**
 * Tokens of Kubernetes: whose a projected service-account token is, as the API server says it.
 *
 *   token ──TokenReview for audience tracecar.dev/ca──► user, pod ──► that pod: uid, account, address
 *
 * Everything has to agree, always: there is no review without the audience, no check by signature alone, and
 * no identity when the API server does not answer (Linkerd falls back to a review without audiences, so that
 * any token of the cluster does; that is what must not happen here). reference/reliability.md 7.4.
 */

import { isIPv6 } from 'node:net';
import type { WakeUps } from '../base/deadlines.ts';
import type { Secret } from '../base/secret.ts';
import type { Caller, TokenProblem, VerifyToken } from '../identity/token.ts';
import type { KubeClient } from '../kube/kube-client.ts';
import { KubeError } from '../kube/kube-error.ts';
import type { KubeObject } from '../kube/kube-object.ts';
import { type AuthorityLimits, authorityLimits } from '../model/authority-limits.ts';

/** Whom a token has to be for; the injector's patch asks the kubelet for it. */
export const tokenAudience = 'tracecar.dev/ca';

export interface TokenReviewOptions {
  readonly client: Pick<KubeClient, 'create' | 'get'>;
  readonly wakeUps: WakeUps;
  readonly limits?: AuthorityLimits;
}

interface PodRef {
  readonly namespace: string;
  readonly serviceAccount: string;
  readonly podName: string;
  readonly podUid: string;
}

const accountGroup = 'system:serviceaccounts';
const podNameKey = 'authentication.kubernetes.io/pod-name';
const podUidKey = 'authentication.kubernetes.io/pod-uid';

/** At most `reviewsMax` reviews are under way, and `reviewsWaitingMax` wait; more are 503. */
export class TokenReviews {
  readonly #options: TokenReviewOptions;
  readonly #limits: AuthorityLimits;
  readonly #waiting: (() => void)[] = [];
  #underWay = 0;

  constructor(options: TokenReviewOptions) {
    this.#options = options;
    this.#limits = options.limits ?? authorityLimits;
  }

  readonly verify: VerifyToken = async (token, address) => {
    if (this.#underWay >= this.#limits.reviewsMax) {
      if (this.#waiting.length >= this.#limits.reviewsWaitingMax) {
        return unsure('reviews-full', 'too many tokens are being reviewed; come again later');
      }
      // Whoever ends a review hands its place on.
      await new Promise<void>((resolve) => this.#waiting.push(resolve));
    } else {
      this.#underWay += 1;
    }
    try {
      return await this.#review(token, address);
    } finally {
      const next = this.#waiting.shift();
      if (next === undefined) this.#underWay -= 1;
      else next();
    }
  };

  async #review(token: Secret, address: string): Promise<Caller | TokenProblem> {
    const { client, wakeUps } = this.#options;
    const giveUp = new AbortController();
    const callOff = wakeUps.after(this.#limits.reviewTimeoutMs, () => giveUp.abort());
    const { signal } = giveUp;
    try {
      const review = await client.create(
        '/apis/authentication.k8s.io/v1/tokenreviews',
        {
          apiVersion: 'authentication.k8s.io/v1',
          kind: 'TokenReview',
          spec: { token: token.reveal(), audiences: [tokenAudience] },
        },
        { signal },
      );
      const ref = readReview(review);
      if ('cause' in ref) return ref;
      const pod = await readPod(client, ref, signal);
      return pod === undefined ? podGone(ref) : callerOf(ref, pod, address);
    } catch (error) {
      if (!(error instanceof KubeError)) throw error;
      // The text may quote what was sent, so only where and how it failed is passed on.
      const how = error.status === 0 ? error.reason : `status ${error.status}`;
      return unsure(
        'review-failed',
        `the Kubernetes API server could not review the token: ${how}`,
      );
    } finally {
      callOff();
    }
  }
}

/** The pod that the token is bound to, or why it is nobody's. */
function readReview({ status }: KubeObject): PodRef | TokenProblem {
  const { audiences, authenticated, error, user } = fieldsOf(status);
  if (authenticated !== true) {
    // Whatever the reason is (time, audience, a pod or account that is gone), the server has it.
    const why = typeof error === 'string' && error !== '' ? 'it is refused' : 'it is not known';
    const message = `the API server does not take the token for audience ${tokenAudience}: ${why}`;
    return { status: 401, cause: 'token-refused', message };
  }
  if (!Array.isArray(audiences) || !audiences.includes(tokenAudience)) {
    const message = `the token was reviewed for another audience than ${tokenAudience}`;
    return { status: 401, cause: 'token-audience', message };
  }
  const { extra, groups, username } = fieldsOf(user);
  const isAccount = Array.isArray(groups) && groups.includes(accountGroup);
  const parts = typeof username === 'string' ? username.split(':') : [];
  const [system, kind, namespace = '', serviceAccount = ''] = parts;
  const isNamed = parts.length === 4 && system === 'system' && kind === 'serviceaccount';
  if (!isAccount || !isNamed || namespace === '' || serviceAccount === '') {
    return notForPods('token-user', 'the token is of somebody who is no service account');
  }
  const [podName, podUid] = [podNameKey, podUidKey].map((key) => {
    const values = fieldsOf(extra)[key];
    return Array.isArray(values) && values.length === 1 ? String(values[0]) : '';
  }) as [string, string];
  if (podName === '' || podUid === '') {
    return notForPods('token-unbound', 'the token is bound to no pod; a projected one is');
  }
  return { namespace, serviceAccount, podName, podUid };
}

async function readPod(
  client: TokenReviewOptions['client'],
  { namespace, podName }: PodRef,
  signal: AbortSignal,
): Promise<KubeObject | undefined> {
  const [folder, name] = [encodeURIComponent(namespace), encodeURIComponent(podName)];
  try {
    return await client.get(`/api/v1/namespaces/${folder}/pods/${name}`, { signal });
  } catch (error) {
    if (error instanceof KubeError && error.status === 404) return undefined;
    throw error;
  }
}

/** The review says who the token was made for; the pod says whether that is who is calling. */
function callerOf(ref: PodRef, pod: KubeObject, address: string): Caller | TokenProblem {
  const { namespace, podName, podUid, serviceAccount } = ref;
  if (pod.metadata.uid !== podUid) return podGone(ref);
  const name = `${namespace}/${podName}`;
  if (fieldsOf(pod.spec).serviceAccountName !== serviceAccount) {
    return notForPods('pod-account', `pod ${name} runs as another service account`);
  }
  const { phase, podIP, podIPs } = fieldsOf(pod.status);
  if (phase === 'Succeeded' || phase === 'Failed') return podGone(ref);
  const addresses = [
    podIP,
    ...(Array.isArray(podIPs) ? podIPs.map((each) => fieldsOf(each).ip) : []),
  ];
  const known = addresses.filter((each) => typeof each === 'string' && each !== '');
  if (known.length === 0) {
    // A pod that has just begun: the kubelet says its address a moment later.
    return unsure('pod-address-unknown', `pod ${name} has no address yet`);
  }
  if (!known.some((each) => sameAddress(String(each), address))) {
    return notForPods('pod-address', `the token of pod ${name} came from ${address}, not from it`);
  }
  const who = `pod ${name} ${podUid}`;
  return { namespace, serviceAccount, who, limitKey: podUid, isShared: false };
}

function podGone({ namespace, podName }: PodRef): TokenProblem {
  const message = `pod ${namespace}/${podName}, which the token is bound to, is gone`;
  return { status: 401, cause: 'pod-gone', message };
}

function notForPods(cause: string, message: string): TokenProblem {
  return { status: 403, cause, message };
}

function unsure(cause: string, message: string): TokenProblem {
  return { status: 503, cause, message };
}

/** IPv6 has several spellings. */
function sameAddress(a: string, b: string): boolean {
  if (a === b) return true;
  if (!isIPv6(a) || !isIPv6(b)) return false;
  return new URL(`http://[${a}]/`).hostname === new URL(`http://[${b}]/`).hostname;
}

function fieldsOf(value: unknown): Readonly<Record<string, unknown>> {
  return typeof value === 'object' && value !== null ? (value as Record<string, unknown>) : {};
}
