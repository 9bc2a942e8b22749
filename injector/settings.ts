/**
 * What `tracecar injector` is told by flags and `TRACECAR_*` variables. Plain data in and out.
 *
 * The image is required: it goes into every pod, and a guessed one would be found missing by a
 * kubelet much later. Where the API server is comes from the pod itself, not from flags.
 */

import { isIP } from 'node:net';
import { trustDomainProblem } from '../src/identity/spiffe-id.ts';
import { serviceAccountFolder } from '../src/kube/service-account.ts';
import { type Environment, type Flag, readFlags, UsageError } from '../src/main/flags.ts';
import { isLogLevel, type LogLevel, logLevels } from '../src/main/log.ts';
import { readSocketAddress, type SocketAddress } from '../src/main/socket-address.ts';
import { usualTrustDomain } from '../src/model/security.ts';
import { usualNamespace } from './exempt-namespaces.ts';
import type { InjectionSettings } from './patch.ts';

export interface InjectorSettings {
  readonly listen: SocketAddress;
  readonly health: SocketAddress;
  readonly image: string;
  readonly imagePullPolicy: InjectionSettings['imagePullPolicy'];
  /** Empty: only pods that name a collector themselves export spans. */
  readonly otlpEndpoint: string;
  readonly propagation: 'node' | 'off';
  /** `HOST:PORT` of the authority that gives pods their identity; empty: they have none. */
  readonly identity: string;
  readonly trustDomain: string;
  /** Where the injector runs: its Secret is there, and pods of it are never injected. */
  readonly namespace: string;
  /** Names that the certificate is for, the Service's first. */
  readonly names: readonly string[];
  readonly serviceAccount: string;
  /** After SIGTERM: how long new reviews are still answered while callers learn that we leave. */
  readonly leaveMs: number;
  readonly logLevel: LogLevel;
}

const usualListen: SocketAddress = { address: '0.0.0.0', port: 9443 };
const usualHealth: SocketAddress = { address: '0.0.0.0', port: 15_021 };
const pullPolicies = ['Always', 'IfNotPresent', 'Never'] as const;
const leaveSecondsMax = 300;

export const injectorFlags: readonly Flag[] = [
  {
    name: 'image',
    value: 'REF',
    otherwise: '',
    help: 'image of the sidecar and its init container; required',
  },
  {
    name: 'image-pull-policy',
    value: 'POLICY',
    choices: pullPolicies,
    otherwise: 'IfNotPresent',
    help: 'of both containers',
  },
  {
    name: 'listen',
    value: 'ADDR:PORT',
    otherwise: '0.0.0.0:9443',
    help: 'where the API server asks (HTTPS)',
  },
  {
    name: 'health',
    value: 'ADDR:PORT',
    otherwise: '0.0.0.0:15021',
    help: '/healthz/ready and /healthz/live (HTTP)',
  },
  {
    name: 'otlp-endpoint',
    value: 'URL',
    otherwise: '',
    help: 'where sidecars send spans by default; without it they export none',
  },
  {
    name: 'propagation',
    value: 'off|node',
    choices: ['off', 'node'],
    otherwise: 'off',
    help: 'the preload for Node.js where neither pod nor namespace says',
  },
  {
    name: 'identity',
    value: 'HOST:PORT',
    otherwise: '',
    help: 'authority of identities; its roots are in ConfigMap tracecar-trust-bundle',
  },
  {
    name: 'trust-domain',
    value: 'NAME',
    otherwise: usualTrustDomain,
    help: 'of every identity of the mesh',
  },
  {
    name: 'namespace',
    value: 'NAME',
    otherwise: `POD_NAMESPACE, else ${usualNamespace}`,
    help: 'namespace of the injector: Secret and Service',
  },
  {
    name: 'host',
    value: 'NAME',
    repeatable: true,
    otherwise: '',
    help: "name or address for the certificate, beside the Service's",
    typedOnly: true,
  },
  {
    name: 'service-account',
    value: 'DIR',
    otherwise: serviceAccountFolder,
    help: 'token and ca.crt for the API server',
    isPath: true,
  },
  {
    name: 'leave-seconds',
    value: 'SECONDS',
    otherwise: '5',
    help: 'after SIGTERM: reviews are still answered this long',
  },
  {
    name: 'log-level',
    value: 'LEVEL',
    choices: logLevels,
    otherwise: 'info',
    help: 'lines below it are not written',
  },
];

/** Reads flags and environment. Throws UsageError with one line about the first mistake. */
export function readInjectorSettings(
  args: readonly string[],
  environment: Environment,
): InjectorSettings {
  const { values } = readFlags(injectorFlags, args, environment);
  const one = (name: string) => values.get(name)?.[0];
  const namespace = one('namespace') ?? (environment.POD_NAMESPACE || usualNamespace);
  if (!/^[a-z0-9]([-a-z0-9]{0,61}[a-z0-9])?$/.test(namespace)) {
    throw new UsageError(`--namespace is the name of a namespace, not '${namespace}'`);
  }
  const listen = one('listen');
  const health = one('health');
  const level = one('log-level') ?? 'info';
  const policy = pullPolicies.find((each) => each === one('image-pull-policy'));
  return {
    image: readImage(one('image')),
    imagePullPolicy: policy ?? 'IfNotPresent',
    listen: listen === undefined ? usualListen : readSocketAddress('listen', listen, usualListen),
    health: health === undefined ? usualHealth : readSocketAddress('health', health, usualHealth),
    otlpEndpoint: readEndpoint(one('otlp-endpoint')),
    propagation: one('propagation') === 'node' ? 'node' : 'off',
    identity: readAuthority(one('identity') ?? ''),
    trustDomain: readTrustDomain(one('trust-domain') ?? usualTrustDomain),
    namespace,
    names: [`tracecar-injector.${namespace}.svc`, ...(values.get('host') ?? []).map(readHost)],
    serviceAccount: one('service-account') ?? serviceAccountFolder,
    leaveMs: readSeconds(one('leave-seconds') ?? '5') * 1_000,
    logLevel: isLogLevel(level) ? level : 'info',
  };
}

function readImage(text: string | undefined): string {
  if (text === undefined) {
    throw new UsageError('needs --image REF, the image of the sidecar: the one this runs from');
  }
  if (!/^[\w][\w.\-/:@]{0,511}$/.test(text)) {
    throw new UsageError(
      `--image is an image reference such as localhost/tracecar:1, not '${text}'`,
    );
  }
  return text;
}

function readEndpoint(text: string | undefined): string {
  if (text === undefined) return '';
  if (!/^https?:\/\//.test(text) || !URL.canParse(text)) {
    throw new UsageError(
      `--otlp-endpoint is a URL such as http://collector.observability:4318, not '${text}'`,
    );
  }
  return text.replace(/\/+$/, '');
}

/** `HOST:PORT`, the port written out; empty for none. Throws UsageError. */
export function readAuthority(text: string): string {
  if (text === '') return '';
  const { address, port } = readSocketAddress('identity', text, { address: '', port: 15_010 });
  return `${isIP(address) === 6 ? `[${address}]` : address}:${port}`;
}

/** As `tracecar install` takes it too. Throws UsageError. */
export function readTrustDomain(text: string): string {
  const problem = trustDomainProblem(text);
  if (problem === undefined) return text;
  throw new UsageError(`--trust-domain is a name such as cluster.local; '${text}' ${problem}`);
}

function readHost(text: string): string {
  const isName = /^(?=.{1,253}$)[a-z0-9]([-a-z0-9]*[a-z0-9])?(\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*$/;
  if (isIP(text) !== 0 || isName.test(text)) return text;
  throw new UsageError(`--host is a DNS name in lower case or an IP address, not '${text}'`);
}

function readSeconds(text: string): number {
  const seconds = /^\d{1,3}(\.\d{1,3})?$/.test(text) ? Number(text) : Number.NaN;
  if (seconds <= leaveSecondsMax) return seconds;
  throw new UsageError(`--leave-seconds is 0 to ${leaveSecondsMax}, not '${text}'`);
}
