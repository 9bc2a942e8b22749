/**
 * What the injector may do in a cluster: the least that it works with, nothing that reads pods.
 *
 *   namespaces            read; patch, to mirror the annotation into the label
 *   its own webhook       read; patch, to publish the authority of its certificate
 *   its own Secret        made (a name cannot be demanded of what does not exist), read, replaced
 */

import { injectorName, injectorSecret, labelsOf, type Manifest, systemNamespace } from './names.ts';

const rbac = 'rbac.authorization.k8s.io';

export function accessManifests(version: string): Manifest[] {
  const labels = labelsOf(injectorName, version);
  const everywhere = { name: injectorName, labels };
  const here = { name: injectorName, namespace: systemNamespace, labels };
  const subjects = [
    { kind: 'ServiceAccount', name: injectorName, namespace: systemNamespace },
  ] as const;
  return [
    {
      apiVersion: 'v1',
      kind: 'ServiceAccount',
      metadata: here,
      // Only the Deployment that needs the token mounts it.
      automountServiceAccountToken: false,
    },
    {
      apiVersion: `${rbac}/v1`,
      kind: 'ClusterRole',
      metadata: everywhere,
      rules: [
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
      ],
    },
    {
      apiVersion: `${rbac}/v1`,
      kind: 'ClusterRoleBinding',
      metadata: everywhere,
      roleRef: { apiGroup: rbac, kind: 'ClusterRole', name: injectorName },
      subjects,
    },
    {
      apiVersion: `${rbac}/v1`,
      kind: 'Role',
      metadata: here,
      rules: [
        { apiGroups: [''], resources: ['secrets'], verbs: ['create'] },
        {
          apiGroups: [''],
          resources: ['secrets'],
          resourceNames: [injectorSecret],
          verbs: ['get', 'update'],
        },
      ],
    },
    {
      apiVersion: `${rbac}/v1`,
      kind: 'RoleBinding',
      metadata: here,
      roleRef: { apiGroup: rbac, kind: 'Role', name: injectorName },
      subjects,
    },
  ];
}
