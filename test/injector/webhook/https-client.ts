/**
 * The calls of an API server, made by hand: HTTPS with kept connections, and raw TLS for bad ones.
 */

import assert from 'node:assert/strict';
import { type Agent, request } from 'node:https';

export interface Answer {
  readonly status: number;
  readonly headers: NodeJS.Dict<string | string[]>;
  readonly text: string;
  /** Of the TLS connection: serial number of the certificate that was shown. */
  readonly serial: string;
}

export interface Target {
  readonly port: number;
  readonly ca: string;
  readonly servername: string;
  readonly agent?: Agent;
}

export interface Sent {
  readonly method?: string;
  readonly path?: string;
  readonly headers?: Readonly<Record<string, string>>;
  readonly body?: string | Buffer;
}

/** One request; `Content-Type: application/json` unless it says otherwise. */
export function send(target: Target, sent: Sent): Promise<Answer> {
  return new Promise((resolve, reject) => {
    const outgoing = request(
      {
        host: '127.0.0.1',
        port: target.port,
        ca: target.ca,
        servername: target.servername,
        agent: target.agent ?? false,
        method: sent.method ?? 'POST',
        path: sent.path ?? '/inject/pods?timeout=5s',
        headers: { 'content-type': 'application/json', ...sent.headers },
      },
      (incoming) => {
        const socket = incoming.socket as import('node:tls').TLSSocket;
        const serial = socket.getPeerX509Certificate()?.serialNumber ?? '';
        let text = '';
        incoming.setEncoding('utf8');
        incoming.on('data', (chunk: string) => {
          text += chunk;
        });
        incoming.on('error', reject);
        incoming.on('end', () => {
          resolve({ status: incoming.statusCode ?? 0, headers: incoming.headers, text, serial });
        });
      },
    );
    outgoing.on('error', reject);
    outgoing.end(sent.body);
  });
}

export interface ReviewResponse {
  readonly uid: string;
  readonly allowed: boolean;
  readonly patchType?: string;
  readonly patch?: string;
  readonly warnings?: readonly string[];
  readonly auditAnnotations?: Readonly<Record<string, string>>;
  readonly status?: { readonly code: number; readonly message: string };
}

/** The response of an answered review; checks what the API server checks. */
export function responseOf(answer: Answer, uid: string): ReviewResponse {
  assert.equal(answer.status, 200, answer.text);
  assert.equal(answer.headers['content-type'], 'application/json');
  const review = JSON.parse(answer.text);
  assert.equal(review.apiVersion, 'admission.k8s.io/v1');
  assert.equal(review.kind, 'AdmissionReview');
  const response = review.response as ReviewResponse;
  assert.equal(response.uid, uid);
  assert.equal(response.patch === undefined, response.patchType === undefined);
  if (response.patchType !== undefined) assert.equal(response.patchType, 'JSONPatch');
  for (const warning of response.warnings ?? []) assert.ok(warning.length <= 120, warning);
  return response;
}

/** The operations of a patch; none when there is no patch. */
export function patchOf(response: ReviewResponse) {
  if (response.patch === undefined) return [];
  return JSON.parse(Buffer.from(response.patch, 'base64').toString('utf8'));
}

export interface ReviewParts {
  readonly uid?: string;
  readonly resource?: string;
  readonly operation?: string;
  readonly object?: unknown;
  readonly oldObject?: unknown;
  readonly [other: string]: unknown;
}

/** A review as API servers of 1.29 and later send it. */
export function reviewOf({ uid, resource, operation, object, ...more }: ReviewParts = {}): string {
  const kind = resource === 'namespaces' ? 'Namespace' : 'Pod';
  return JSON.stringify({
    kind: 'AdmissionReview',
    apiVersion: 'admission.k8s.io/v1',
    request: {
      uid: uid ?? 'b1a6f3c0-1111-4222-8333-444455556666',
      kind: { group: '', version: 'v1', kind },
      resource: { group: '', version: 'v1', resource: resource ?? 'pods' },
      requestKind: { group: '', version: 'v1', kind },
      requestResource: { group: '', version: 'v1', resource: resource ?? 'pods' },
      namespace: 'shop',
      operation: operation ?? 'CREATE',
      userInfo: { username: 'system:serviceaccount:kube-system:replicaset-controller' },
      object: object === undefined ? podOf('web') : object,
      oldObject: null,
      dryRun: false,
      options: { kind: 'CreateOptions', apiVersion: 'meta.k8s.io/v1' },
      ...more,
    },
  });
}

/** A pod of a ReplicaSet as the API server shows it, defaults and managedFields included. */
export function podOf(app: string): Record<string, unknown> {
  return {
    apiVersion: 'v1',
    kind: 'Pod',
    metadata: {
      generateName: `${app}-7d4b9c8f6-`,
      labels: { app, 'pod-template-hash': '7d4b9c8f6' },
      ownerReferences: [
        { apiVersion: 'apps/v1', kind: 'ReplicaSet', name: `${app}-7d4b9c8f6`, controller: true },
      ],
      managedFields: [
        { manager: 'kube-controller-manager', operation: 'Update', fieldsV1: { 'f:spec': {} } },
      ],
    },
    spec: {
      containers: [
        {
          name: 'app',
          image: `example/${app}:1`,
          ports: [{ name: 'http', containerPort: 8080, protocol: 'TCP' }],
          env: [{ name: 'PORT', value: '8080' }],
          readinessProbe: {
            httpGet: { path: '/ok', port: 'http', scheme: 'HTTP' },
            periodSeconds: 1,
          },
          resources: {},
          volumeMounts: [
            {
              name: 'kube-api-access-x',
              mountPath: '/var/run/secrets/kubernetes.io/serviceaccount',
            },
          ],
        },
      ],
      volumes: [{ name: 'kube-api-access-x', projected: { sources: [] } }],
      restartPolicy: 'Always',
      dnsPolicy: 'ClusterFirst',
    },
  };
}
