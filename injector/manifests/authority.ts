/**
 * The authority of the mesh as a Deployment: `tracecar ca --kubernetes` behind its Service.
 *
 * One replica: its state is in the API server, and sidecars renew hours before they have to. What it is
 * told of an issuer from outside is a Secret in its own namespace, as cert-manager writes one.
 */

import type { InstallSettings } from './install-settings.ts';
import { authorityName, authorityPort, labelsOf, type Manifest, selectorOf } from './names.ts';
import { confined, metadataOf, podSpec, probe } from './pod-parts.ts';

const metricsPort = 15_090;
const issuerPath = '/etc/tracecar/issuer';
const issuerVolume = 'issuer';

/** Empty where no pod is to have an identity. */
export function authorityManifests(settings: InstallSettings, version: string): Manifest[] {
  const { identity } = settings;
  if (identity === undefined) return [];
  const metadata = metadataOf(authorityName, version);
  const selector = selectorOf(authorityName);
  const { issuerSecret } = identity;
  const volumes = [
    { name: issuerVolume, secret: { secretName: issuerSecret, defaultMode: 0o444 } },
  ];
  return [
    {
      apiVersion: 'apps/v1',
      kind: 'Deployment',
      metadata,
      spec: {
        replicas: 1,
        selector: { matchLabels: selector },
        template: {
          metadata: { labels: labelsOf(authorityName, version) },
          spec: {
            ...podSpec,
            serviceAccountName: authorityName,
            automountServiceAccountToken: true,
            containers: [container(settings, identity.trustDomain, issuerSecret !== '')],
            ...(issuerSecret === '' ? {} : { volumes }),
          },
        },
      },
    },
    {
      apiVersion: 'v1',
      kind: 'Service',
      metadata,
      spec: {
        selector,
        ports: [
          {
            name: 'https-sign',
            port: authorityPort,
            targetPort: authorityPort,
            protocol: 'TCP',
          },
        ],
      },
    },
  ];
}

function container(settings: InstallSettings, trustDomain: string, hasOutsideIssuer: boolean) {
  const { image, imagePullPolicy } = settings;
  const outside = [
    ...['--issuer-cert', `${issuerPath}/tls.crt`],
    ...['--issuer-key', `${issuerPath}/tls.key`],
    ...['--roots', `${issuerPath}/ca.crt`],
  ];
  const mount = { name: issuerVolume, mountPath: issuerPath, readOnly: true };
  return {
    name: 'ca',
    image,
    imagePullPolicy,
    args: [
      ...['ca', '--kubernetes'],
      ...['--trust-domain', trustDomain],
      ...['--metrics', `0.0.0.0:${metricsPort}`],
      ...(hasOutsideIssuer ? outside : []),
    ],
    env: [{ name: 'POD_NAMESPACE', valueFrom: { fieldRef: { fieldPath: 'metadata.namespace' } } }],
    ports: [
      { name: 'https-sign', containerPort: authorityPort, protocol: 'TCP' },
      { name: 'http-metrics', containerPort: metricsPort, protocol: 'TCP' },
    ],
    startupProbe: probe('/healthz', authorityPort, 1, 60, 'HTTPS'),
    readinessProbe: probe('/healthz', authorityPort, 2, 3, 'HTTPS'),
    livenessProbe: probe('/healthz', authorityPort, 10, 6, 'HTTPS'),
    resources: {
      requests: { cpu: '50m', memory: '96Mi' },
      limits: { memory: '256Mi' },
    },
    ...(hasOutsideIssuer ? { volumeMounts: [mount] } : {}),
    ...confined,
  };
}
