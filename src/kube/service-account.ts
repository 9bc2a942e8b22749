/**
 * Where the API server is and who we are there: the files and variables that a pod is given.
 *
 * The token and the certificates are read again once a minute, because the kubelet replaces both
 * while we run; a file that cannot be read keeps what was read last.
 */

import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import type { Clock } from '../base/clock.ts';
import { kubeLimits } from '../model/injector-limits.ts';

export interface KubeSettings {
  /** `https://10.96.0.1:443`, without a path; plain http is for tests. */
  readonly server: string;
  /** Undefined: calls carry no token. */
  readonly tokenFile: string | undefined;
  /** Undefined: the system's roots. */
  readonly caFile: string | undefined;
  /** Sent as User-Agent: the name in the API server's audit log and in managedFields. */
  readonly userAgent: string;
}

/** Where the kubelet mounts the account of a pod. */
export const serviceAccountFolder = '/var/run/secrets/kubernetes.io/serviceaccount';

/**
 * What a program in a pod is given; `environment` is the process's. Undefined outside of a cluster:
 * no KUBERNETES_SERVICE_HOST.
 */
export function readInClusterSettings(
  environment: Readonly<Record<string, string | undefined>>,
  userAgent: string,
  folder: string = serviceAccountFolder,
): KubeSettings | undefined {
  const host = environment.KUBERNETES_SERVICE_HOST ?? '';
  if (host === '') return undefined;
  const port = environment.KUBERNETES_SERVICE_PORT ?? '443';
  return {
    server: `https://${host.includes(':') ? `[${host}]` : host}:${port}`,
    tokenFile: join(folder, 'token'),
    caFile: join(folder, 'ca.crt'),
    userAgent,
  };
}

export class ServiceAccount {
  readonly #settings: KubeSettings;
  readonly #clock: Clock;
  #readAt = Number.NEGATIVE_INFINITY;
  #token = '';
  #ca = '';

  constructor(settings: KubeSettings, clock: Clock) {
    this.#settings = settings;
    this.#clock = clock;
  }

  /** The bearer token, a secret; empty when there is none. */
  get token(): string {
    this.#read();
    return this.#token;
  }

  /** PEM; empty for the system's roots. */
  get ca(): string {
    this.#read();
    return this.#ca;
  }

  /** Reads again at the next use: the token was refused. */
  forget(): void {
    this.#readAt = Number.NEGATIVE_INFINITY;
  }

  #read(): void {
    const now = this.#clock.now();
    if (now - this.#readAt < kubeLimits.accountRereadMs) return;
    this.#readAt = now;
    this.#token = readFile(this.#settings.tokenFile)?.trim() ?? this.#token;
    this.#ca = readFile(this.#settings.caFile) ?? this.#ca;
  }
}

function readFile(path: string | undefined): string | undefined {
  if (path === undefined) return undefined;
  try {
    return readFileSync(path, 'utf8');
  } catch {
    return undefined;
  }
}
