/**
 * What every Deployment of ours has in common: Pod Security `restricted`, which the namespace enforces.
 */

import { labelsOf, systemNamespace } from './names.ts';

/** Of our programs in a cluster, and of the sidecar. */
const user = 1337;

export function metadataOf(name: string, version: string) {
  return { name, namespace: systemNamespace, labels: labelsOf(name, version) };
}

export const podSpec = {
  securityContext: {
    runAsUser: user,
    runAsGroup: user,
    runAsNonRoot: true,
    seccompProfile: { type: 'RuntimeDefault' },
  },
  terminationGracePeriodSeconds: 15,
} as const;

export const confined = {
  securityContext: {
    allowPrivilegeEscalation: false,
    readOnlyRootFilesystem: true,
    capabilities: { drop: ['ALL'] },
  },
  terminationMessagePolicy: 'FallbackToLogsOnError',
} as const;

export function probe(
  path: string,
  port: number,
  periodSeconds: number,
  failureThreshold: number,
  scheme?: 'HTTPS',
) {
  const httpGet = { path, port, ...(scheme === undefined ? {} : { scheme }) };
  return { httpGet, periodSeconds, timeoutSeconds: 3, failureThreshold };
}
