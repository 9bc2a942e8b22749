/**
 * The MutatingWebhookConfiguration: when the API server asks the injector, and what if it cannot.
 *
 *   pods        every pod of a labelled namespace                  not answered: it is not created
 *   optin       elsewhere, pods that themselves ask                not answered: it is not created
 *   namespaces  whose label does not follow the annotation         not answered: it is not written
 *   settings    other namespaces with names of ours, to check them not answered: it is written
 *
 * An outage of the injector stops only who asks for a sidecar: a pod without one, and an annotation
 * without its label, would be a silent hole in the mesh. System namespaces, our own and those that are
 * deleted are never asked about, or nothing could start again. `caBundle` is left out on purpose: the
 * injector publishes it, and applying this again keeps it.
 */

import { annotations, injectKey, keyPrefix } from '../annotations.ts';
import { exemptNamespaces } from '../exempt-namespaces.ts';
import { mirrorMark } from '../mirror.ts';
import { reviewPaths } from '../review-paths.ts';
import { injectorName, labelsOf, type Manifest, systemNamespace } from './names.ts';

const timeoutSeconds = 5;

export function webhookConfiguration(version: string): Manifest {
  return {
    apiVersion: 'admissionregistration.k8s.io/v1',
    kind: 'MutatingWebhookConfiguration',
    metadata: { name: injectorName, labels: labelsOf(injectorName, version) },
    webhooks: [podsWebhook(), optInWebhook(), namespacesWebhook(), settingsWebhook()],
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
  values: exemptNamespaces(),
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
    ...callOf(reviewPaths.pods, 'Fail'),
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
    ...callOf(reviewPaths.askingPods, 'Fail'),
    reinvocationPolicy: 'IfNeeded',
    rules: podRules,
    namespaceSelector: {
      matchExpressions: [{ key: injectKey, operator: 'NotIn', values: ['enabled'] }, neverAsked],
    },
    objectSelector: {
      matchExpressions: [{ key: injectKey, operator: 'NotIn', values: ['disabled'] }],
    },
    matchConditions: [isNoMirror, { name: 'asks', expression: asksItself() }],
  };
}

const namespaceRules = [
  {
    operations: ['CREATE', 'UPDATE'],
    apiGroups: [''],
    apiVersions: ['v1'],
    resources: ['namespaces'],
    scope: 'Cluster',
  },
];

const isNotDeleted = {
  name: 'is-not-deleted',
  expression: '!has(object.metadata.deletionTimestamp)',
};

function namespacesWebhook() {
  return {
    name: 'namespaces.inject.tracecar.dev',
    ...callOf(reviewPaths.namespaces, 'Fail'),
    reinvocationPolicy: 'Never',
    rules: namespaceRules,
    namespaceSelector: { matchExpressions: [neverAsked] },
    objectSelector: {},
    matchConditions: [isNotDeleted, { name: 'label-lags', expression: labelLags() }],
  };
}

function settingsWebhook() {
  return {
    name: 'settings.inject.tracecar.dev',
    ...callOf(reviewPaths.namespaces, 'Ignore'),
    timeoutSeconds: 2,
    reinvocationPolicy: 'Never',
    rules: namespaceRules,
    namespaceSelector: { matchExpressions: [neverAsked] },
    objectSelector: {},
    matchConditions: [
      isNotDeleted,
      { name: 'has-settings', expression: `${hasOurs('labels')} || ${hasOurs('annotations')}` },
      // Those are asked about already.
      { name: 'label-follows', expression: `!(${labelLags()})` },
    ],
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

/**
 * CEL: the label is not what the annotation asks for, or is left of one that is gone. A word that is
 * not understood counts when it is written, so that its namespace does not depend on us ever after.
 */
function labelLags(): string {
  const asked = injectOf('object', 'annotations');
  const isAsked = hasKey('object', 'annotations', injectKey);
  const follows = `${hasKey('object', 'labels', injectKey)} && ${injectOf('object', 'labels')} == ${asked}`;
  const isWord = `${asked} in ['enabled', 'disabled']`;
  const wasSo = `${hasKey('oldObject', 'annotations', injectKey)} && ${injectOf('oldObject', 'annotations')} == ${asked}`;
  const isOld = `request.operation == 'UPDATE' && ${wasSo}`;
  const lags = `${isAsked} && (${isWord} ? !(${follows}) : !(${isOld}))`;
  const isLeft = `!${isAsked} && ${hasKey('object', 'annotations', mirrorMark)}`;
  return `(${lags}) || (${isLeft})`;
}

/** CEL: a pod has the word itself, or a name that means nothing and may be that word misspelt. */
function asksItself(): string {
  const settings = annotations.map(({ key }) => key).filter((key) => key !== injectKey);
  const known = settings.map((key) => `'${key}'`).join(', ');
  return `${hasOurs('labels')} || ${hasOurs('annotations', `!(key in [${known}])`)}`;
}

/** CEL: a map of `object.metadata` has a key of ours for which `also` holds. */
function hasOurs(map: MapName, also?: string): string {
  const holds = `key.startsWith('${keyPrefix}')${also === undefined ? '' : ` && ${also}`}`;
  return `(has(object.metadata.${map}) && object.metadata.${map}.exists(key, ${holds}))`;
}

type MapName = 'labels' | 'annotations';

/** CEL; a map that is absent has no key. */
function hasKey(object: 'object' | 'oldObject', map: MapName, key: string): string {
  return `(has(${object}.metadata.${map}) && '${key}' in ${object}.metadata.${map})`;
}

function injectOf(object: 'object' | 'oldObject', map: MapName): string {
  return `${object}.metadata.${map}['${injectKey}']`;
}
