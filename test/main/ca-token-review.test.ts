import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { WakeUps } from '../../src/base/deadlines.ts';
import { Secret } from '../../src/base/secret.ts';
import { KubeError } from '../../src/kube/kube-error.ts';
import type { KubeObject } from '../../src/kube/kube-object.ts';
import { TokenReviews } from '../../src/main/ca-token-review.ts';
import { authorityLimits } from '../../src/model/authority-limits.ts';

const token = new Secret('the-token');
const never: WakeUps = { after: () => () => {} };

const goodStatus = {
  authenticated: true,
  audiences: ['tracecar.dev/ca'],
  user: {
    username: 'system:serviceaccount:shop:web',
    groups: ['system:serviceaccounts', 'system:serviceaccounts:shop', 'system:authenticated'],
    extra: {
      'authentication.kubernetes.io/pod-name': ['web-1'],
      'authentication.kubernetes.io/pod-uid': ['uid-1'],
    },
  },
};

const goodPod = {
  metadata: { name: 'web-1', namespace: 'shop', uid: 'uid-1' },
  spec: { serviceAccountName: 'web' },
  status: { phase: 'Running', podIP: '10.0.0.7', podIPs: [{ ip: '10.0.0.7' }, { ip: 'fd00::7' }] },
};

interface Script {
  /** What the review answers; an error is thrown. */
  readonly review?: object | Error;
  /** What the pod's GET answers. */
  readonly pod?: object | Error;
  readonly address?: string;
}

async function ask({ review = goodStatus, pod = goodPod, address = '10.0.0.7' }: Script = {}) {
  const asked: { path: string; body?: unknown }[] = [];
  const answer = (value: object | Error) => {
    if (value instanceof Error) throw value;
    return value as KubeObject;
  };
  const reviews = new TokenReviews({
    wakeUps: never,
    client: {
      create: async (path, body) => {
        asked.push({ path, body });
        return answer(review instanceof Error ? review : { metadata: {}, status: review });
      },
      get: async (path) => {
        asked.push({ path });
        return answer(pod);
      },
    },
  });
  return { asked, result: await reviews.verify(token, address) };
}

test('a pod is its service account when the review, the pod and its address agree', async () => {
  const { asked, result } = await ask();
  assert.deepEqual(result, {
    namespace: 'shop',
    serviceAccount: 'web',
    who: 'pod shop/web-1 uid-1',
    limitKey: 'uid-1',
    isShared: false,
  });
  assert.deepEqual(asked, [
    {
      path: '/apis/authentication.k8s.io/v1/tokenreviews',
      body: {
        apiVersion: 'authentication.k8s.io/v1',
        kind: 'TokenReview',
        spec: { token: 'the-token', audiences: ['tracecar.dev/ca'] },
      },
    },
    { path: '/api/v1/namespaces/shop/pods/web-1' },
  ]);
});

test('an IPv6 address is the pod’s in each of its spellings', async () => {
  const { result } = await ask({ address: 'fd00:0:0:0:0:0:0:7' });
  assert.ok('who' in result);
});

const user = (change: object) => ({ ...goodStatus, user: { ...goodStatus.user, ...change } });
const extra = (change: object) => user({ extra: { ...goodStatus.user.extra, ...change } });
const down = new KubeError(0, 'ECONNREFUSED', 'no answer');
const gone = new KubeError(404, 'NotFound', 'no such pod');

const refused: readonly (readonly [string, Script, number, string])[] = [
  [
    'a token that the server does not know (I9, I10)',
    { review: { authenticated: false, error: 'expired' } },
    401,
    'token-refused',
  ],
  ['an answer without a status', { review: {} }, 401, 'token-refused'],
  [
    'a review for another audience (I8)',
    { review: { ...goodStatus, audiences: ['https://kubernetes.default.svc'] } },
    401,
    'token-audience',
  ],
  [
    'a review for no audience, as old servers answer (I8)',
    { review: { ...goodStatus, audiences: undefined } },
    401,
    'token-audience',
  ],
  [
    'a user of the cluster (I12)',
    { review: user({ username: 'kubernetes-admin', groups: ['system:masters'] }) },
    403,
    'token-user',
  ],
  [
    'a user who is named like an account and is in no group of theirs (I12)',
    { review: user({ groups: [] }) },
    403,
    'token-user',
  ],
  [
    'a node',
    { review: user({ username: 'system:node:a', groups: ['system:nodes'] }) },
    403,
    'token-user',
  ],
  [
    'a name of five parts',
    { review: user({ username: 'system:serviceaccount:shop:web:x' }) },
    403,
    'token-user',
  ],
  [
    'a name with an empty part',
    { review: user({ username: 'system:serviceaccount::web' }) },
    403,
    'token-user',
  ],
  ['a token bound to no pod', { review: user({ extra: {} }) }, 403, 'token-unbound'],
  [
    'a token bound to two pods',
    { review: extra({ 'authentication.kubernetes.io/pod-name': ['a', 'b'] }) },
    403,
    'token-unbound',
  ],
  ['a pod that is gone (I10)', { pod: gone }, 401, 'pod-gone'],
  [
    'another pod of the same name (I10)',
    { pod: { ...goodPod, metadata: { ...goodPod.metadata, uid: 'uid-2' } } },
    401,
    'pod-gone',
  ],
  [
    'a pod that has ended',
    { pod: { ...goodPod, status: { ...goodPod.status, phase: 'Succeeded' } } },
    401,
    'pod-gone',
  ],
  [
    'a pod of another account',
    { pod: { ...goodPod, spec: { serviceAccountName: 'other' } } },
    403,
    'pod-account',
  ],
  ['another address than the pod’s (I11)', { address: '10.0.0.8' }, 403, 'pod-address'],
  [
    'a pod without an address yet',
    { pod: { ...goodPod, status: { phase: 'Pending' } } },
    503,
    'pod-address-unknown',
  ],
  ['an API server that does not answer (I15)', { review: down }, 503, 'review-failed'],
  ['an API server that fails at the pod (I15)', { pod: down }, 503, 'review-failed'],
  [
    'rights that the authority does not have',
    { review: new KubeError(403, 'Forbidden', 'the-token may not') },
    503,
    'review-failed',
  ],
];

for (const [what, script, status, cause] of refused) {
  test(`nobody is signed for with ${what}`, async () => {
    const { result } = await ask(script);
    assert.ok('cause' in result, JSON.stringify(result));
    assert.deepEqual([result.status, result.cause], [status, cause]);
    assert.doesNotMatch(result.message, /the-token/);
  });
}

test('a refused review is final: nothing is asked a second time in another way (I8)', async () => {
  const { asked } = await ask({
    review: { authenticated: false, error: 'audience not supported' },
  });
  assert.equal(asked.length, 1);
});

test('eight reviews are under way at a time, 64 wait for a place, and more are turned away', async () => {
  const open: (() => void)[] = [];
  let most = 0;
  let underWay = 0;
  const reviews = new TokenReviews({
    wakeUps: never,
    client: {
      create: async () => {
        underWay += 1;
        most = Math.max(most, underWay);
        await new Promise<void>((resolve) => open.push(resolve));
        underWay -= 1;
        return { metadata: {}, status: goodStatus } as KubeObject;
      },
      get: async () => goodPod as KubeObject,
    },
  });
  const { reviewsMax, reviewsWaitingMax } = authorityLimits;
  const calls = Array.from({ length: reviewsMax + reviewsWaitingMax }, () =>
    reviews.verify(token, '10.0.0.7'),
  );
  const turnedAway = await reviews.verify(token, '10.0.0.7');
  assert.ok('cause' in turnedAway);
  assert.deepEqual([turnedAway.status, turnedAway.cause], [503, 'reviews-full']);
  const all = Promise.all(calls);
  let isDone = false;
  void all.then(() => {
    isDone = true;
  });
  while (!isDone) {
    for (const each of open.splice(0)) each();
    await new Promise<void>((resolve) => setImmediate(resolve));
  }
  assert.equal(most, reviewsMax);
  assert.ok((await all).every((result) => 'who' in result));
});

test('a review that takes too long is given up', async () => {
  let fire = () => {};
  const wakeUps: WakeUps = {
    after: (delayMs, call) => {
      assert.equal(delayMs, authorityLimits.reviewTimeoutMs);
      fire = call;
      return () => {};
    },
  };
  const reviews = new TokenReviews({
    wakeUps,
    client: {
      create: (_path, _body, options) =>
        new Promise((_resolve, reject) => {
          options?.signal?.addEventListener('abort', () =>
            reject(new KubeError(0, 'ABORTED', 'given up')),
          );
        }),
      get: async () => goodPod as KubeObject,
    },
  });
  const result = reviews.verify(token, '10.0.0.7');
  fire();
  const verdict = await result;
  assert.ok('cause' in verdict);
  assert.equal(verdict.status, 503);
});
