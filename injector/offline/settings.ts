/**
 * What `tracecar inject` and `tracecar uninject` are told by flags. Plain data in, plain data out.
 *
 * `-f` is the short form of `--file`, as kubectl has it; `-` stands for standard input.
 */

import { type Environment, type Flag, readFlags, UsageError } from '../../src/main/flags.ts';
import { usualTrustDomain } from '../../src/model/security.ts';
import { readUrl } from '../annotation-values.ts';
import { authorityAddress } from '../manifests/names.ts';
import { readAuthority, readTrustDomain } from '../settings.ts';

const pullPolicies = ['Always', 'IfNotPresent', 'Never'] as const;

const fileFlag: Flag = {
  name: 'file',
  value: 'FILE',
  isPath: true,
  otherwise: '',
  typedOnly: true,
  help: 'YAML or JSON to read, - for standard input; also -f FILE',
};

export const uninjectFlags: readonly Flag[] = [fileFlag];

export const injectFlags: readonly Flag[] = [
  fileFlag,
  {
    name: 'image',
    value: 'REF',
    otherwise: '',
    typedOnly: true,
    help: 'image of the sidecar and of its init container',
  },
  {
    name: 'image-pull-policy',
    value: 'POLICY',
    choices: pullPolicies,
    otherwise: 'IfNotPresent',
    typedOnly: true,
    help: 'of both containers',
  },
  {
    name: 'namespace',
    value: 'NAME',
    otherwise: 'default',
    typedOnly: true,
    help: 'namespace of documents that name none',
  },
  {
    name: 'propagation',
    value: 'node|off',
    choices: ['node', 'off'],
    otherwise: 'off',
    typedOnly: true,
    help: 'trace propagation where a pod does not say tracecar.dev/propagation',
  },
  {
    name: 'identity',
    value: 'HOST:PORT',
    otherwise: authorityAddress,
    typedOnly: true,
    help: 'authority of identities; needs --trust-bundle',
  },
  {
    name: 'trust-bundle',
    value: 'FILE',
    isPath: true,
    otherwise: '',
    typedOnly: true,
    help: 'PEM roots of the mesh; without it pods get no identity',
  },
  {
    name: 'trust-domain',
    value: 'NAME',
    otherwise: usualTrustDomain,
    typedOnly: true,
    help: 'of every identity of the mesh',
  },
  {
    name: 'otlp-endpoint',
    value: 'URL',
    otherwise: '',
    typedOnly: true,
    help: 'where sidecars send spans; without it they export none',
  },
];

export interface OfflineIdentity {
  readonly authority: string;
  readonly trustDomain: string;
  /** A path. */
  readonly bundleFile: string;
}

export interface OfflineSettings {
  /** A path, or `-`. */
  readonly file: string;
  readonly image: string;
  readonly imagePullPolicy: (typeof pullPolicies)[number];
  readonly namespace: string;
  readonly propagation: 'node' | 'off';
  /** Undefined: pods get none. */
  readonly identity: OfflineIdentity | undefined;
  /** Empty: only pods that name a collector themselves export spans. */
  readonly otlpEndpoint: string;
}

/** Reads the flags of `tracecar inject`. Throws UsageError with one line about the first mistake. */
export function readInjectSettings(
  args: readonly string[],
  environment: Environment,
): OfflineSettings {
  const { values } = readFlags(injectFlags, withLongNames(args), environment);
  const text = (name: string) =>
    values.get(name)?.[0] ?? injectFlags.find((flag) => flag.name === name)!.otherwise;
  const named = text('otlp-endpoint');
  const endpoint = named === '' ? { value: '' } : readUrl(named);
  if ('problem' in endpoint) throw new UsageError(`--otlp-endpoint ${endpoint.problem}`);
  return {
    file: requireFile(text('file')),
    image: readImage(text('image')),
    imagePullPolicy:
      pullPolicies.find((each) => each === text('image-pull-policy')) ?? 'IfNotPresent',
    namespace: text('namespace'),
    propagation: text('propagation') === 'node' ? 'node' : 'off',
    identity: readIdentity((name) => values.get(name)?.[0]),
    otlpEndpoint: endpoint.value,
  };
}

/** Reads the flags of `tracecar uninject`: the path, or `-`. Throws UsageError. */
export function readUninjectFile(args: readonly string[], environment: Environment): string {
  const { values } = readFlags(uninjectFlags, withLongNames(args), environment);
  return requireFile(values.get('file')?.[0] ?? '');
}

function readIdentity(one: (name: string) => string | undefined): OfflineIdentity | undefined {
  const bundleFile = one('trust-bundle');
  if (bundleFile === undefined) {
    const alone = ['identity', 'trust-domain'].find((name) => one(name) !== undefined);
    if (alone === undefined) return undefined;
    throw new UsageError(
      `--${alone} needs --trust-bundle FILE: kubectl -n tracecar-system get configmap tracecar-trust-bundle -o 'jsonpath={.data.roots\\.pem}'`,
    );
  }
  return {
    authority: readAuthority(one('identity') ?? authorityAddress),
    trustDomain: readTrustDomain(one('trust-domain') ?? usualTrustDomain),
    bundleFile,
  };
}

/** As `tracecar install` takes it. */
function readImage(text: string): string {
  if (text === '') {
    throw new UsageError('needs --image REF, the image of Tracecar that your cluster can pull');
  }
  if (/^[\w][\w.\-/:@]{0,511}$/.test(text)) return text;
  throw new UsageError(`--image is an image reference such as registry/tracecar:1, not '${text}'`);
}

function requireFile(file: string): string {
  if (file === '') throw new UsageError('needs -f FILE, or -f - for standard input');
  return file;
}

function withLongNames(args: readonly string[]): string[] {
  return args.map((each) => (each === '-f' ? '--file' : each));
}
