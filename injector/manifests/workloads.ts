/**
 * What runs in tracecar-system: the injector behind its Service, and the viewer where it is wanted.
 *
 * Both pass Pod Security `restricted`, which the namespace enforces: no root, no capability, no
 * writable root file system.
 */

import type { InstallSettings } from './install-settings.ts';
import {
  authorityAddress,
  injectorName,
  labelsOf,
  type Manifest,
  selectorOf,
  viewerName,
} from './names.ts';
import { confined, metadataOf, podSpec, probe } from './pod-parts.ts';

const ports = { webhook: 9443, health: 15_021, otlp: 4318, grpc: 4317, query: 16_686 } as const;

export function injectorManifests(settings: InstallSettings, version: string): Manifest[] {
  const metadata = metadataOf(injectorName, version);
  const selector = selectorOf(injectorName);
  const budget: Manifest = {
    apiVersion: 'policy/v1',
    kind: 'PodDisruptionBudget',
    metadata,
    // kubectl says `configured` of a budget at every apply, changed or not: its selector has the patch
    // strategy `replace` and is always sent. Nothing is written for it.
    spec: { maxUnavailable: 1, selector: { matchLabels: selector } },
  };
  return [
    {
      apiVersion: 'apps/v1',
      kind: 'Deployment',
      metadata,
      spec: {
        replicas: settings.replicas,
        // Until every node has heard of a new replica: kube-proxy tells a second's news at once. `rollout
        // status` waits for it, and a replica that is replaced stays until then.
        minReadySeconds: 3,
        selector: { matchLabels: selector },
        // Never fewer than wanted: while none answers, no pod of an annotated namespace is created.
        strategy: { type: 'RollingUpdate', rollingUpdate: { maxSurge: 1, maxUnavailable: 0 } },
        template: {
          metadata: { labels: labelsOf(injectorName, version) },
          spec: {
            ...podSpec,
            serviceAccountName: injectorName,
            automountServiceAccountToken: true,
            topologySpreadConstraints: [
              {
                maxSkew: 1,
                topologyKey: 'kubernetes.io/hostname',
                whenUnsatisfiable: 'ScheduleAnyway',
                labelSelector: { matchLabels: selector },
              },
            ],
            containers: [injectorContainer(settings)],
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
        ports: [{ name: 'https-webhook', port: 443, targetPort: ports.webhook, protocol: 'TCP' }],
      },
    },
    ...(settings.replicas > 1 ? [budget] : []),
  ];
}

function injectorContainer(settings: InstallSettings) {
  const { identity, image, imagePullPolicy, propagation, otlpEndpoint } = settings;
  const hasCollector = otlpEndpoint !== '';
  return {
    name: 'injector',
    image,
    imagePullPolicy,
    args: [
      'injector',
      ...['--image', image],
      ...['--image-pull-policy', imagePullPolicy],
      ...['--propagation', propagation],
      ...(identity === undefined
        ? []
        : ['--identity', authorityAddress, '--trust-domain', identity.trustDomain]),
      ...(hasCollector ? ['--otlp-endpoint', otlpEndpoint] : []),
    ],
    env: [
      { name: 'POD_NAMESPACE', valueFrom: { fieldRef: { fieldPath: 'metadata.namespace' } } },
      ...(hasCollector ? [{ name: 'OTEL_EXPORTER_OTLP_ENDPOINT', value: otlpEndpoint }] : []),
    ],
    ports: [
      { name: 'https-webhook', containerPort: ports.webhook, protocol: 'TCP' },
      { name: 'http-health', containerPort: ports.health, protocol: 'TCP' },
    ],
    // No preStop hook: after SIGTERM the injector itself answers reviews 5 s more (--leave-seconds),
    // until every API server has heard that this replica leaves.
    startupProbe: probe('/healthz/live', ports.health, 1, 60),
    readinessProbe: probe('/healthz/ready', ports.health, 2, 2),
    livenessProbe: probe('/healthz/live', ports.health, 10, 6),
    resources: {
      requests: { cpu: '50m', memory: '128Mi' },
      limits: { memory: '384Mi' },
    },
    ...confined,
  };
}

export function viewerManifests(settings: InstallSettings, version: string): Manifest[] {
  const metadata = metadataOf(viewerName, version);
  const selector = selectorOf(viewerName);
  const { image, imagePullPolicy } = settings;
  const container = {
    name: 'view',
    image,
    imagePullPolicy,
    args: [
      'view',
      ...['--otlp', `0.0.0.0:${ports.otlp}`],
      ...['--grpc', `0.0.0.0:${ports.grpc}`],
      ...['--query', `0.0.0.0:${ports.query}`],
    ],
    ports: [
      { name: 'http-otlp', containerPort: ports.otlp, protocol: 'TCP' },
      { name: 'grpc-otlp', containerPort: ports.grpc, protocol: 'TCP' },
      { name: 'http-query', containerPort: ports.query, protocol: 'TCP' },
    ],
    readinessProbe: probe('/healthz', ports.query, 2, 3),
    livenessProbe: probe('/healthz', ports.query, 10, 6),
    resources: {
      requests: { cpu: '50m', memory: '256Mi' },
      limits: { memory: '1Gi' },
    },
    ...confined,
  };
  return [
    {
      apiVersion: 'apps/v1',
      kind: 'Deployment',
      metadata,
      spec: {
        // Traces are in memory: a second replica would hold others.
        replicas: 1,
        selector: { matchLabels: selector },
        strategy: { type: 'Recreate' },
        template: {
          metadata: { labels: labelsOf(viewerName, version) },
          spec: { ...podSpec, automountServiceAccountToken: false, containers: [container] },
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
          { name: 'http-otlp', port: ports.otlp, targetPort: ports.otlp, protocol: 'TCP' },
          { name: 'grpc-otlp', port: ports.grpc, targetPort: ports.grpc, protocol: 'TCP' },
          { name: 'http-query', port: ports.query, targetPort: ports.query, protocol: 'TCP' },
        ],
      },
    },
  ];
}
