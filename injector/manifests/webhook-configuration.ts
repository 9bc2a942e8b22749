/**
 * The MutatingWebhookConfiguration: when the API server asks the injector, and what if it cannot.
 *
 *   pods        every pod of a labelled namespace               not answered: the pod is not created
 *   optin       elsewhere, pods that themselves ask             not answered: the pod is not created
 *   namespaces  those with our annotation, to mirror its label  not answered: the mirror does it later
 *
 * An outage of the injector stops only who asked for a sidecar: a pod without one would be a silent hole
 * in the mesh. System namespaces and our own are never asked about, or nothing could start again.
 * `caBundle` is left out on purpose: the injector publishes it, and applying this again keeps it.
 */

import { injectKey } from '../annotations.ts';
import { mirrorMark, systemNamespaces } from '../mirror.ts';
import { injectorName, labelsOf, type Manifest, systemNamespace } from './names.ts';

const timeoutSeconds = 5;

export function webhookConfiguration(version: string): Manifest {
  return {
    apiVersion: 'admissionregistration.k8s.io/v1',
    kind: 'MutatingWebhookConfiguration',
    metadata: { name: injectorName, labels: labelsOf(injectorName, version) },
    webhooks: [podsWebhook(), optInWebhook(), namespacesWebhook()],
  };
}

const podRules = [
  {
    operations: ['CREATE'],
    apiGroups: [''],
    apiVersions: ['v1'],
    resources: ['pods'],
    scope: 'Namespaced',
  },
];

const neverAsked = {
  key: 'kubernetes.io/metadata.name',
  operator: 'NotIn',
  values: [...systemNamespaces, systemNamespace],
};

/** A static pod runs whatever the API server says; refusing its mirror would only hide it. */
const isNoMirror = {
  name: 'is-no-mirror',
  expression:
    "!has(object.metadata.annotations) || !('kubernetes.io/config.mirror' in object.metadata.annotations)",
};

function podsWebhook() {
  return {
    name: 'pods.inject.tracecar.dev',
    ...callOf('/inject/pods', 'Fail'),
    reinvocationPolicy: 'IfNeeded',
    rules: podRules,
    namespaceSelector: {
      matchExpressions: [{ key: injectKey, operator: 'In', values: ['enabled'] }, neverAsked],
    },
    objectSelector: {
      matchExpressions: [{ key: injectKey, operator: 'NotIn', values: ['disabled'] }],
    },
    matchConditions: [isNoMirror],
  };
}

function optInWebhook() {
  return {
    name: 'optin.inject.tracecar.dev',
    ...callOf('/inject/pods', 'Fail'),
    reinvocationPolicy: 'IfNeeded',
    rules: podRules,
    namespaceSelector: {
      matchExpressions: [{ key: injectKey, operator: 'NotIn', values: ['enabled'] }, neverAsked],
    },
    objectSelector: {
      matchExpressions: [{ key: injectKey, operator: 'NotIn', values: ['disabled'] }],
    },
    matchConditions: [isNoMirror, { name: 'asks', expression: hasKey(injectKey, bothMaps) }],
  };
}

function namespacesWebhook() {
  const isOfInterest = hasKey(injectKey, ['annotations']);
  const wasMirrored = hasKey(mirrorMark, ['annotations']);
  return {
    name: 'namespaces.inject.tracecar.dev',
    ...callOf('/inject/namespaces', 'Ignore'),
    reinvocationPolicy: 'Never',
    rules: [
      {
        operations: ['CREATE', 'UPDATE'],
        apiGroups: [''],
        apiVersions: ['v1'],
        resources: ['namespaces'],
        scope: 'Cluster',
      },
    ],
    namespaceSelector: {},
    objectSelector: {},
    matchConditions: [{ name: 'is-ours', expression: `${isOfInterest} || ${wasMirrored}` }],
  };
}

function callOf(path: string, failurePolicy: 'Fail' | 'Ignore') {
  return {
    clientConfig: {
      service: { name: injectorName, namespace: systemNamespace, path, port: 443 },
    },
    failurePolicy,
    matchPolicy: 'Equivalent',
    sideEffects: 'None',
    timeoutSeconds,
    admissionReviewVersions: ['v1'],
  };
}

const bothMaps = ['labels', 'annotations'] as const;

/** CEL: one of the maps of `object.metadata` has the key. */
function hasKey(key: string, maps: readonly string[]): string {
  return maps
    .map((map) => `(has(object.metadata.${map}) && '${key}' in object.metadata.${map})`)
    .join(' || ');
}
