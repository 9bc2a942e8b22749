/**
 * The objects of an installation in the order in which they are applied. Pure: settings in, data out.
 *
 * The same settings give the same objects, and every name is fixed, so applying them twice changes
 * nothing. What needs a secret or a certificate is made by the injector when it starts.
 */

import { authorityAccess, injectorAccess } from './access.ts';
import { authorityManifests } from './authority.ts';
import type { InstallSettings } from './install-settings.ts';
import { labelsOf, type Manifest, systemNamespace } from './names.ts';
import { webhookConfiguration } from './webhook-configuration.ts';
import { injectorManifests, viewerManifests } from './workloads.ts';

/** Everything that `tracecar install` prints; `version` is Tracecar's. */
export function manifests(settings: InstallSettings, version: string): Manifest[] {
  return [
    namespaceManifest(version),
    ...(settings.identity === undefined ? [] : authorityAccess(version)),
    ...authorityManifests(settings, version),
    ...injectorAccess(version),
    ...injectorManifests(settings, version),
    ...(settings.hasViewer ? viewerManifests(settings, version) : []),
    // Last: what exists already when the API server begins to ask, is soon there to answer.
    webhookConfiguration(version),
  ];
}

/**
 * What `tracecar uninstall` prints, first to be deleted first: nobody is asked any more before nobody
 * answers. What is in the namespace goes with it.
 */
export function removals(version: string): Pick<Manifest, 'apiVersion' | 'kind' | 'metadata'>[] {
  return [
    webhookConfiguration(version),
    ...[...injectorAccess(version), ...authorityAccess(version)].filter(
      ({ metadata }) => metadata.namespace === undefined,
    ),
    namespaceManifest(version),
  ].map(({ apiVersion, kind, metadata }) => ({ apiVersion, kind, metadata }));
}

function namespaceManifest(version: string): Manifest {
  return {
    apiVersion: 'v1',
    kind: 'Namespace',
    metadata: {
      name: systemNamespace,
      labels: {
        ...labelsOf('tracecar', version),
        'pod-security.kubernetes.io/enforce': 'restricted',
      },
    },
  };
}
