/**
 * What our programs may do in a cluster: the least that they work with.
 *
 *   injector    namespaces        read; patch, to mirror the annotation into the label
 *               its own webhook   read; patch, to publish the authority of its certificate
 *               its own Secret    made (a name cannot be demanded of what does not exist), read, replaced
 *               the trust bundle  read
 *   authority   tokens            asked about (TokenReview)
 *               pods              read one, to see that the pod of a token is there
 *               its own Secret and ConfigMaps   made, read, replaced
 */

import { trustBundleName } from '../trust-bundle-name.ts';
import {
  authorityMaps,
  authorityName,
  authoritySecret,
  injectorName,
  injectorSecret,
  labelsOf,
  type Manifest,
  systemNamespace,
} from './names.ts';

const rbac = 'rbac.authorization.k8s.io';

interface Rule {
  readonly apiGroups: readonly string[];
  readonly resources: readonly string[];
  readonly resourceNames?: readonly string[];
  readonly verbs: readonly string[];
}

export function injectorAccess(version: string): Manifest[] {
  return accessOf(injectorName, version, injectorEverywhere, [
    ...ownObjects('secrets', [injectorSecret]),
    {
      apiGroups: [''],
      resources: ['configmaps'],
      resourceNames: [trustBundleName],
      verbs: ['get', 'list', 'watch'],
    },
  ]);
}

export function authorityAccess(version: string): Manifest[] {
  return accessOf(authorityName, version, authorityEverywhere, [
    ...ownObjects('secrets', [authoritySecret]),
    ...ownObjects('configmaps', authorityMaps),
  ]);
}

const injectorEverywhere: readonly Rule[] = [
  {
    apiGroups: [''],
    resources: ['namespaces'],
    verbs: ['get', 'list', 'watch', 'patch'],
  },
  {
    apiGroups: ['admissionregistration.k8s.io'],
    resources: ['mutatingwebhookconfigurations'],
    resourceNames: [injectorName],
    verbs: ['get', 'list', 'watch', 'patch'],
  },
];

const authorityEverywhere: readonly Rule[] = [
  {
    apiGroups: ['authentication.k8s.io'],
    resources: ['tokenreviews'],
    verbs: ['create'],
  },
  {
    apiGroups: [''],
    resources: ['pods'],
    verbs: ['get'],
  },
];

function ownObjects(resource: string, names: readonly string[]): Rule[] {
  return [
    { apiGroups: [''], resources: [resource], verbs: ['create'] },
    { apiGroups: [''], resources: [resource], resourceNames: names, verbs: ['get', 'update'] },
  ];
}

function accessOf(
  name: string,
  version: string,
  everywhere: readonly Rule[],
  here: readonly Rule[],
): Manifest[] {
  const labels = labelsOf(name, version);
  const own = { name, namespace: systemNamespace, labels };
  const subjects = [{ kind: 'ServiceAccount', name, namespace: systemNamespace }] as const;
  const [apiVersion, metadata] = [`${rbac}/v1`, { name, labels }];
  return [
    {
      apiVersion: 'v1',
      kind: 'ServiceAccount',
      metadata: own,
      // Only the Deployment that needs the token mounts it.
      automountServiceAccountToken: false,
    },
    { apiVersion, kind: 'ClusterRole', metadata, rules: everywhere },
    {
      apiVersion,
      kind: 'ClusterRoleBinding',
      metadata,
      roleRef: { apiGroup: rbac, kind: 'ClusterRole', name },
      subjects,
    },
    { apiVersion, kind: 'Role', metadata: own, rules: here },
    {
      apiVersion,
      kind: 'RoleBinding',
      metadata: own,
      roleRef: { apiGroup: rbac, kind: 'Role', name },
      subjects,
    },
  ];
}
