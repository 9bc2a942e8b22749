/**
 * What `tracecar ca` is told by its flags. Plain data in, plain data out.
 *
 * One table for all five actions: `serve` (also without a word), `rotate`, `status`, `token`, `bundle`.
 * What an action has no use for is refused by name, so that nobody believes it was heeded.
 */

import { trustDomainProblem, workloadId } from '../identity/spiffe-id.ts';
import { authorityLimits } from '../model/authority-limits.ts';
import { usualTrustDomain } from '../model/security.ts';
import { type Environment, type Flag, readFlags, UsageError } from './flags.ts';
import { isLogLevel, type LogLevel, logLevels } from './log.ts';
import { readSocketAddress, type SocketAddress } from './socket-address.ts';

export const caActions = ['serve', 'rotate', 'status', 'token', 'bundle'] as const;
export type CaAction = (typeof caActions)[number];

export interface CaSettings {
  readonly action: CaAction;
  /** Empty: the state is in Kubernetes, or there is none. */
  readonly state: string;
  readonly isKubernetes: boolean;
  readonly listen: SocketAddress;
  readonly metrics: SocketAddress;
  /** Undefined: as the state says, or `cluster.local`. */
  readonly trustDomain: string | undefined;
  /** The authority's own, for its id and the names in its certificate. */
  readonly authorityNamespace: string;
  readonly leafLifeMs: number;
  /** An issuer from outside; undefined: our own. */
  readonly outside: OutsideFiles | undefined;
  /** Of `token`. */
  readonly workload: { readonly namespace: string; readonly serviceAccount: string };
  readonly tokenLifeMs: number;
  /** Of `rotate`: sidecars that will not come back. */
  readonly gone: readonly string[];
  readonly output: 'text' | 'json';
  readonly logLevel: LogLevel;
}

export interface OutsideFiles {
  readonly certificate: string;
  readonly key: string;
  readonly roots: string;
}

const usualListen: SocketAddress = { address: '0.0.0.0', port: 15_010 };
const usualMetrics: SocketAddress = { address: '127.0.0.1', port: 15_011 };
const usualNamespace = 'tracecar-system';

export const caFlags: readonly Flag[] = [
  {
    name: 'state',
    value: 'DIR',
    isPath: true,
    otherwise: '',
    help: 'folder of roots, issuer, tokens and reports; made if it is not there, keys in it are 0600',
    typedOnly: true,
  },
  {
    name: 'listen',
    value: 'ADDR:PORT',
    otherwise: `${usualListen.address}:${usualListen.port}`,
    help: 'where sidecars ask for certificates (TLS)',
    typedOnly: true,
  },
  {
    name: 'metrics',
    value: 'ADDR:PORT',
    otherwise: `${usualMetrics.address}:${usualMetrics.port}`,
    help: 'metrics of the authority, plain HTTP',
    typedOnly: true,
  },
  {
    name: 'trust-domain',
    value: 'NAME',
    otherwise: usualTrustDomain,
    help: 'whose identities it signs; cannot be changed later',
  },
  {
    name: 'authority-namespace',
    value: 'NAME',
    otherwise: usualNamespace,
    help: 'its own: sidecars expect spiffe://TRUST-DOMAIN/ns/NAME/sa/tracecar-ca',
    typedOnly: true,
  },
  {
    name: 'leaf-seconds',
    value: 'N',
    otherwise: String(authorityLimits.leafLifeMs / 1_000),
    help: 'how long certificates of sidecars live; at most a day',
    typedOnly: true,
  },
  {
    name: 'kubernetes',
    value: '',
    otherwise: '',
    help: 'in a pod: tokens of service accounts, by TokenReview; state in a Secret',
    typedOnly: true,
  },
  {
    name: 'issuer-cert',
    value: 'FILE',
    isPath: true,
    otherwise: '',
    help: "an outside authority's issuer (PEM, with what is between it and its root), read live",
    typedOnly: true,
  },
  {
    name: 'issuer-key',
    value: 'FILE',
    isPath: true,
    otherwise: '',
    help: 'the key of --issuer-cert (PEM)',
    typedOnly: true,
  },
  {
    name: 'roots',
    value: 'FILE',
    isPath: true,
    otherwise: '',
    help: 'the roots of --issuer-cert (PEM), all that sidecars are to trust',
    typedOnly: true,
  },
  {
    name: 'namespace',
    value: 'NAME',
    otherwise: 'default',
    help: 'token: the namespace of the workload',
    typedOnly: true,
  },
  {
    name: 'service-account',
    value: 'NAME',
    otherwise: 'default',
    help: 'token: the service account of the workload',
    typedOnly: true,
  },
  {
    name: 'hours',
    value: 'N',
    otherwise: String(authorityLimits.tokenHours),
    help: `token: how long it is good, at most ${authorityLimits.tokenHoursMax}`,
    typedOnly: true,
  },
  {
    name: 'gone',
    value: 'INSTANCE',
    repeatable: true,
    otherwise: '',
    help: 'rotate: a sidecar, or all of a SPIFFE id, that `status` lists and that will not come back',
    typedOnly: true,
  },
  {
    name: 'output',
    value: 'text|json',
    choices: ['text', 'json'],
    otherwise: 'text',
    help: 'status: for people, or one JSON document for tools',
    typedOnly: true,
  },
  {
    name: 'log-level',
    value: logLevels.join('|'),
    choices: logLevels,
    otherwise: 'info',
    help: 'serve: lines below it are not written; `info` has one line a certificate',
  },
];

const outsideFlags = ['issuer-cert', 'issuer-key', 'roots'];
const flagsOf: Readonly<Record<CaAction, readonly string[]>> = {
  serve: ['listen', 'metrics', 'authority-namespace', 'leaf-seconds', 'log-level', ...outsideFlags],
  rotate: ['gone'],
  status: ['output'],
  token: ['namespace', 'service-account', 'hours'],
  bundle: [],
};

/** Reads the flags. Throws UsageError with one line about the first mistake. */
export function readCaSettings(args: readonly string[], environment: Environment): CaSettings {
  const { values, operands } = readFlags(caFlags, args, environment, 1);
  const action = readAction(operands[0]);
  const common = ['state', 'kubernetes', 'trust-domain', ...flagsOf[action], 'log-level'];
  for (const name of values.keys()) {
    if (!common.includes(name)) throw new UsageError(`--${name} is not for \`ca ${action}\``);
  }
  const one = (name: string) => values.get(name)?.[0] ?? '';
  const state = one('state');
  const isKubernetes = values.has('kubernetes');
  const outside = readOutside(one);
  checkPlaces(action, state, isKubernetes, outside);
  const trustDomain = values.get('trust-domain')?.[0];
  const problem = trustDomain === undefined ? undefined : trustDomainProblem(trustDomain);
  if (problem !== undefined) throw new UsageError(`--trust-domain ${problem}`);
  const logLevel = one('log-level');
  return {
    ...{ action, state, isKubernetes, trustDomain, outside },
    listen: address('listen', one, usualListen),
    metrics: address('metrics', one, usualMetrics),
    authorityNamespace: readNamespace(one('authority-namespace')),
    leafLifeMs: readLeafLife(one('leaf-seconds')),
    workload: readWorkload(one),
    tokenLifeMs: readHours(one('hours')) * 3_600_000,
    gone: values.get('gone') ?? [],
    output: one('output') === 'json' ? 'json' : 'text',
    logLevel: isLogLevel(logLevel) ? logLevel : 'info',
  };
}

function readAction(word: string | undefined): CaAction {
  if (word === undefined) return 'serve';
  const action = caActions.find((each) => each === word);
  if (action !== undefined) return action;
  throw new UsageError(`'${word}' is none of ${caActions.join(', ')}`);
}

function readOutside(one: (name: string) => string): OutsideFiles | undefined {
  const [certificate = '', key = '', roots = ''] = outsideFlags.map(one);
  if (certificate === '' && key === '' && roots === '') return undefined;
  if (certificate !== '' && key !== '' && roots !== '') return { certificate, key, roots };
  throw new UsageError('--issuer-cert, --issuer-key and --roots go together');
}

function checkPlaces(
  action: CaAction,
  state: string,
  isKubernetes: boolean,
  outside: OutsideFiles | undefined,
): void {
  if (isKubernetes && state !== '') {
    throw new UsageError(
      '--kubernetes keeps its state in a Secret; --state is for machines without',
    );
  }
  if (state !== '' || isKubernetes) {
    if (action !== 'token' || !isKubernetes) return;
    throw new UsageError('in Kubernetes a pod has its token from the kubelet; none is made here');
  }
  const why = outside === undefined ? '' : '; tokens and reports are kept there';
  throw new UsageError(`needs --state DIR${why} (or --kubernetes, in a pod)`);
}

function address(name: string, one: (name: string) => string, usual: SocketAddress): SocketAddress {
  const text = one(name);
  return text === '' ? usual : readSocketAddress(name, text, usual);
}

function readNamespace(text: string): string {
  const namespace = text === '' ? usualNamespace : text;
  if (/^[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?$/.test(namespace)) return namespace;
  throw new UsageError(`--authority-namespace is a name such as ${usualNamespace}`);
}

function readLeafLife(text: string): number {
  const { leafLifeMs, leafLifeMinMs } = authorityLimits;
  if (text === '') return leafLifeMs;
  const ms = Number(text) * 1_000;
  if (/^\d{1,6}$/.test(text) && ms >= leafLifeMinMs && ms <= leafLifeMs) return ms;
  const range = `${leafLifeMinMs / 1_000} to ${leafLifeMs / 1_000}`;
  throw new UsageError(`--leaf-seconds is a number from ${range}, not '${text}'`);
}

function readHours(text: string): number {
  const { tokenHours, tokenHoursMax } = authorityLimits;
  if (text === '') return tokenHours;
  const hours = Number(text);
  if (/^\d{1,6}$/.test(text) && hours >= 1 && hours <= tokenHoursMax) return hours;
  throw new UsageError(`--hours is a number from 1 to ${tokenHoursMax}, not '${text}'`);
}

function readWorkload(one: (name: string) => string) {
  const namespace = one('namespace') || 'default';
  const serviceAccount = one('service-account') || 'default';
  if (workloadId('td', namespace, serviceAccount) !== undefined) {
    return { namespace, serviceAccount };
  }
  throw new UsageError(
    '--namespace and --service-account have letters, digits, dots, dashes and underscores only',
  );
}
