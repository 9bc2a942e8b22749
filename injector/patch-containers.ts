/**
 * The two containers that injection adds: `tracecar-init` and the native sidecar `tracecar-proxy`.
 *
 * Every field that the API server would fill in is written out, so that rendering a pod that it has
 * stored changes nothing. The sidecar passes Pod Security `restricted`; the init container has one
 * capability, NET_ADMIN, with which `tracecar init` writes the redirection rules (by iptables: NET_RAW too).
 */

import { smallerQuantity } from './annotation-values.ts';
import type { InjectionOptions } from './annotations.ts';
import type { InjectionSettings } from './patch.ts';
import { gateArguments } from './patch-gate.ts';
import {
  type IdentitySettings,
  identityArguments,
  identityEnv,
  identityMounts,
} from './patch-identity.ts';
import {
  drainSecretHeader,
  initName,
  paths,
  ports,
  sidecarName,
  sidecarUid,
  volumeNames,
} from './patch-names.ts';
import { literalValue } from './patch-workload.ts';
import type { Container, EnvVariable, VolumeMount } from './pod.ts';

const termination = {
  terminationMessagePath: '/dev/termination-log',
  terminationMessagePolicy: 'FallbackToLogsOnError',
};

export function initContainer(settings: InjectionSettings, options: InjectionOptions): Container {
  const hasPreload = options.propagation === 'node';
  const isUsual = options.redirectBackend === 'nft';
  const env: EnvVariable[] = [
    { name: 'TRACECAR_SKIP_IN', value: options.skipInboundPorts },
    { name: 'TRACECAR_SKIP_OUT', value: options.skipOutboundPorts },
    { name: 'TRACECAR_SKIP_CIDR', value: options.skipOutboundCidrs },
    { name: 'TRACECAR_BACKEND', value: isUsual ? '' : options.redirectBackend },
  ].filter(({ value }) => value !== '');
  return {
    name: initName,
    image: settings.image,
    imagePullPolicy: settings.imagePullPolicy,
    args: ['init', ...gateArguments, ...(hasPreload ? ['--install-preload', paths.preload] : [])],
    ...(env.length > 0 ? { env } : {}),
    resources: initResources(options),
    securityContext: {
      runAsUser: 0,
      runAsGroup: 0,
      runAsNonRoot: false,
      allowPrivilegeEscalation: false,
      privileged: false,
      readOnlyRootFilesystem: true,
      capabilities: { add: ['NET_ADMIN', ...(isUsual ? [] : ['NET_RAW'])], drop: ['ALL'] },
      seccompProfile: { type: 'RuntimeDefault' },
    },
    ...termination,
    ...(hasPreload
      ? { volumeMounts: [{ name: volumeNames.preload, mountPath: paths.preload }] }
      : {}),
  };
}

/** Never more than the sidecar's: a LimitRange of the namespace holds for both. */
function initResources({ cpuLimit, memoryLimit }: InjectionOptions) {
  const memory = smallerQuantity('128Mi', memoryLimit);
  if (cpuLimit === '') {
    return { requests: { cpu: '10m', memory: '32Mi' }, limits: { cpu: '1', memory } };
  }
  const cpu = smallerQuantity('10m', cpuLimit);
  return { requests: { cpu, memory: '32Mi' }, limits: { cpu: cpuLimit, memory } };
}

/** What of the pod itself the sidecar is told. */
export interface SidecarFacts {
  readonly labels: Readonly<Record<string, string>>;
  readonly serviceName: string;
  /** With `$(VARIABLE)` for the kubelet. */
  readonly resourceAttributes: string;
  /** JSON of the rewritten probes; empty for none. */
  readonly probes: string;
  readonly drainSecret: string;
  /** Undefined: the pod has none. */
  readonly identity: IdentitySettings | undefined;
  /** `PORT/PATH` of the application's metrics; empty: nobody asks for them. */
  readonly appMetrics: string;
}

export function sidecarContainer(
  settings: InjectionSettings,
  options: InjectionOptions,
  facts: SidecarFacts,
): Container {
  return {
    name: sidecarName,
    image: settings.image,
    imagePullPolicy: settings.imagePullPolicy,
    restartPolicy: 'Always',
    args: [
      'proxy',
      ...['--capture', 'redirect'],
      ...['--config', paths.config],
      ...['--drain-seconds', String(options.drainSeconds)],
      ...(facts.identity === undefined ? [] : identityArguments(facts.identity)),
    ],
    ports: [{ name: 'tc-metrics', containerPort: ports.metrics, protocol: 'TCP' }],
    env: sidecarEnv(options, facts),
    resources: {
      requests: { cpu: options.cpuRequest, memory: options.memoryRequest },
      limits: {
        ...(options.cpuLimit === '' ? {} : { cpu: options.cpuLimit }),
        memory: options.memoryLimit,
      },
    },
    readinessProbe: healthProbe('/healthz/ready', 1, 3, 5),
    livenessProbe: healthProbe('/healthz/live', 10, 5, 6),
    lifecycle: { preStop: drainHook(facts.drainSecret) },
    securityContext: {
      runAsUser: sidecarUid,
      runAsGroup: sidecarUid,
      runAsNonRoot: true,
      allowPrivilegeEscalation: false,
      privileged: false,
      readOnlyRootFilesystem: true,
      capabilities: { drop: ['ALL'] },
      seccompProfile: { type: 'RuntimeDefault' },
    },
    ...termination,
    volumeMounts: sidecarMounts(options, facts.identity !== undefined),
  };
}

function sidecarEnv(options: InjectionOptions, facts: SidecarFacts): EnvVariable[] {
  const { sampler } = options;
  // Sorted, because the API server gives maps back in an order of its own.
  const labels = Object.entries(facts.labels).map(([key, value]) => `${key}=${value}`);
  const texts = [
    ['TRACECAR_LABELS', literalValue(labels.toSorted().join(','))],
    ['TRACECAR_PROBES', literalValue(facts.probes)],
    ['TRACECAR_DRAIN_SECRET', literalValue(facts.drainSecret)],
    ['TRACECAR_DRAIN_SECRET_FILE', facts.drainSecret === '' ? paths.drainSecret : ''],
    ['TRACECAR_APP_METRICS', literalValue(facts.appMetrics)],
    ['TRACECAR_SPANS', options.spans === 'both' ? '' : options.spans],
    ['TRACECAR_HISTORY', options.history],
    ['OTEL_SERVICE_NAME', literalValue(facts.serviceName)],
    ['OTEL_RESOURCE_ATTRIBUTES', facts.resourceAttributes],
    ['OTEL_EXPORTER_OTLP_ENDPOINT', literalValue(options.otlpEndpoint)],
    // Without a collector the usual address would be tried, in vain and for ever.
    ['OTEL_TRACES_EXPORTER', options.otlpEndpoint === '' ? 'none' : ''],
    ['OTEL_TRACES_SAMPLER', sampler?.name ?? ''],
    ['OTEL_TRACES_SAMPLER_ARG', sampler?.argument ?? ''],
  ] as const;
  return [
    fromField('POD_NAME', 'metadata.name'),
    fromField('POD_NAMESPACE', 'metadata.namespace'),
    fromField('POD_UID', 'metadata.uid'),
    fromField('POD_IP', 'status.podIP'),
    fromField('POD_IPS', 'status.podIPs'),
    fromField('NODE_NAME', 'spec.nodeName'),
    // Empty on clusters that do not copy the node's label to its pods (Kubernetes 1.35 and later do).
    fromField('TRACECAR_ZONE', "metadata.labels['topology.kubernetes.io/zone']"),
    ...(facts.identity === undefined ? [] : identityEnv(facts.identity)),
    ...texts.filter(([, value]) => value !== '').map(([name, value]) => ({ name, value })),
  ];
}

function fromField(name: string, fieldPath: string): EnvVariable {
  return { name, valueFrom: { fieldRef: { apiVersion: 'v1', fieldPath } } };
}

function healthProbe(
  path: string,
  periodSeconds: number,
  timeoutSeconds: number,
  failureThreshold: number,
) {
  const httpGet = { path, port: ports.health, scheme: 'HTTP' };
  return { httpGet, periodSeconds, timeoutSeconds, successThreshold: 1, failureThreshold };
}

/**
 * Anybody who reaches the pod reaches the health port; only the kubelet knows the secret. A manifest
 * for a repository holds none: there each sidecar makes its own, and the hook reads it in its container.
 */
function drainHook(secret: string) {
  if (secret === '') return { exec: { command: ['node', '-e', drainScript] } };
  const httpHeaders = [{ name: drainSecretHeader, value: secret }];
  return { httpGet: { path: '/drain', port: ports.health, scheme: 'HTTP', httpHeaders } };
}

/** By node:net alone: fetch would cost the sidecar's memory 10 MiB more. */
const drainScript = `const secret = require('node:fs').readFileSync('${paths.drainSecret}', 'latin1');
const peer = require('node:net').connect(${ports.health}, '127.0.0.1');
peer.on('data', (answer) => {
  peer.destroy();
  if (!/^HTTP\\/1.1 200 /.test(answer)) throw new Error(answer);
});
peer.write('GET /drain HTTP/1.1\\r\\nHost: localhost\\r\\n${drainSecretHeader}: ' + secret + '\\r\\n\\r\\n');`;

function sidecarMounts(options: InjectionOptions, hasIdentity: boolean): VolumeMount[] {
  return [
    { name: volumeNames.config, mountPath: paths.config, readOnly: true },
    ...options.tlsSecrets.map((secret, index) => ({
      name: tlsVolumeName(index),
      mountPath: `${paths.tls}/${secret}`,
      readOnly: true,
    })),
    ...(hasIdentity ? identityMounts : []),
    { name: volumeNames.temporary, mountPath: paths.temporary },
  ];
}

/** By position: names of Secrets may be longer than those of volumes, and may hold dots. */
export function tlsVolumeName(index: number): string {
  return `${volumeNames.tlsPrefix}${index}`;
}
