/**
 * Flags of a sidecar's identity: where its certificates come from and who it is.
 *
 * Without `--identity` there is none of it, and the others would promise what nobody keeps: each of
 * them alone is a mistake. Nothing is opened here.
 */

import { resolve } from 'node:path';
import { trustDomainProblem, workloadId } from '../identity/spiffe-id.ts';
import { type ClientCertMode, usualTrustDomain } from '../model/security.ts';
import { type Environment, type Flag, type FlagValues, UsageError } from './flags.ts';
import { readSocketAddress } from './socket-address.ts';

const usualPort = 15_010;
const usualNamespace = 'tracecar-system';
const clientCertModes: readonly ClientCertMode[] = ['append', 'set', 'off'];

export const identityFlags: readonly Flag[] = [
  {
    name: 'identity',
    value: 'HOST:PORT',
    otherwise: '',
    help: 'authority that signs the certificates of mutual TLS, as `tracecar ca` is one; port 15010',
  },
  {
    name: 'token',
    value: 'FILE',
    isPath: true,
    otherwise: '',
    help: 'proves to the authority who this workload is; read for each call',
  },
  {
    name: 'trust-bundle',
    value: 'FILE',
    isPath: true,
    otherwise: '',
    help: 'PEM roots of the trust domain; watched. The variable may hold the PEM text itself',
  },
  {
    name: 'trust-domain',
    value: 'NAME',
    otherwise: usualTrustDomain,
    help: 'of every identity of the mesh',
  },
  {
    name: 'service-account',
    value: 'NAME',
    otherwise: '',
    help: 'refuses certificates for other accounts; without it the first one decides',
  },
  {
    name: 'identity-dir',
    value: 'DIR',
    isPath: true,
    otherwise: '',
    help: 'memory-backed folder where key and certificate are kept for a restart',
  },
  {
    name: 'forward-client-cert',
    value: 'append|set|off',
    choices: clientCertModes,
    otherwise: 'append',
    help: 'x-forwarded-client-cert names callers; set: the last one; off: none',
  },
];

/** How a sidecar comes to its certificates. */
export interface IdentitySettings {
  readonly authority: { readonly host: string; readonly port: number; readonly id: string };
  readonly tokenFile: string;
  /** A file, or the text itself. */
  readonly bundle: { readonly file: string } | { readonly pem: string };
  /** SPIFFE id that it has to get; undefined: the first one that it does get. */
  readonly expectedId: string | undefined;
  /** Empty: nowhere. */
  readonly folder: string;
  /** Of this workload among those that the authority knows; empty: one is made. */
  readonly instance: string;
}

export interface IdentityChoices {
  readonly trustDomain: string;
  /** Undefined: this sidecar has no identity. */
  readonly identity: IdentitySettings | undefined;
  readonly clientCertMode: ClientCertMode;
}

/** Throws UsageError with one line about the first mistake. */
export function readIdentityFlags(
  values: FlagValues['values'],
  namespace: string,
  environment: Environment,
): IdentityChoices {
  const text = (name: string) => values.get(name)?.[0] ?? '';
  const trustDomain = text('trust-domain') || usualTrustDomain;
  const problem = trustDomainProblem(trustDomain);
  if (problem !== undefined) {
    throw new UsageError(
      `--trust-domain is a name such as cluster.local; '${trustDomain}' ${problem}`,
    );
  }
  return {
    trustDomain,
    identity: readIdentity(text, trustDomain, namespace, environment),
    clientCertMode: readClientCertMode(text('forward-client-cert')),
  };
}

/** The choices of the flag have been looked at. */
function readClientCertMode(said: string): ClientCertMode {
  return clientCertModes.find((mode) => mode === said) ?? 'append';
}

function readIdentity(
  text: (name: string) => string,
  trustDomain: string,
  namespace: string,
  environment: Environment,
): IdentitySettings | undefined {
  if (text('identity') === '') {
    const alone = ['token', 'identity-dir'].find((name) => text(name) !== '');
    if (alone === undefined) return undefined;
    throw new UsageError(
      `--${alone} is of no use without --identity HOST:PORT, the authority that it is for`,
    );
  }
  for (const name of ['token', 'trust-bundle']) {
    if (text(name) !== '') continue;
    const how =
      name === 'token' ? '`tracecar ca token` makes one' : '`tracecar ca bundle` prints one';
    throw new UsageError(`--identity needs --${name} FILE as well; ${how}`);
  }
  const bundle = text('trust-bundle');
  return {
    authority: readAuthority(text('identity'), trustDomain),
    tokenFile: resolve(text('token')),
    bundle: bundle.includes('-----BEGIN') ? { pem: bundle } : { file: resolve(bundle) },
    expectedId: readOwnId(text('service-account'), trustDomain, namespace),
    folder: text('identity-dir') === '' ? '' : resolve(text('identity-dir')),
    instance: environment.POD_NAME ?? '',
  };
}

/** The authority of a cluster runs in the namespace that its name says. */
function readAuthority(text: string, trustDomain: string) {
  const { address: host, port } = readSocketAddress('identity', text, {
    address: `tracecar-ca.${usualNamespace}.svc`,
    port: usualPort,
  });
  const namespace = /^tracecar-ca\.([a-z0-9-]+)\.svc(?:\.|$)/.exec(host)?.[1] ?? usualNamespace;
  return { host, port, id: `spiffe://${trustDomain}/ns/${namespace}/sa/tracecar-ca` };
}

function readOwnId(account: string, trustDomain: string, namespace: string): string | undefined {
  if (account === '') return undefined;
  const id = workloadId(trustDomain, namespace, account);
  if (id !== undefined) return id;
  throw new UsageError(`--service-account is a name such as web, not '${account}'`);
}
