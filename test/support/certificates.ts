/**
 * Certificates for tests, made by the openssl program: an authority and what it signs.
 */

import { execFileSync } from 'node:child_process';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';

export interface Certificate {
  readonly cert: string;
  readonly key: string;
}

export class CertificateAuthority {
  readonly cert: string;
  readonly #folder: string;
  #serial = 1;

  constructor(folder: string, name = 'test authority') {
    this.#folder = folder;
    const [key, cert] = [this.#path('ca.key'), this.#path('ca.crt')];
    openssl(['req', '-x509', ...newKey(key), '-out', cert, '-days', '2', '-subj', `/CN=${name}`]);
    this.cert = readFileSync(cert, 'utf8');
  }

  /** A certificate for `name`, which may be a wildcard, good for two days. */
  issue(name: string, kind: 'ec' | 'rsa' = 'ec'): Certificate {
    const serial = this.#serial++;
    const [key, request, cert] = [`${serial}.key`, `${serial}.csr`, `${serial}.crt`].map((each) =>
      this.#path(each),
    ) as [string, string, string];
    const names = ['-subj', `/CN=${name}`, '-addext', `subjectAltName=DNS:${name}`];
    openssl(['req', ...newKey(key, kind), '-out', request, ...names]);
    const signer = ['-CA', this.#path('ca.crt'), '-CAkey', this.#path('ca.key')];
    const terms = ['-days', '2', '-copy_extensions', 'copy', '-set_serial', `${serial}`];
    openssl(['x509', '-req', '-in', request, ...signer, ...terms, '-out', cert]);
    return { cert: readFileSync(cert, 'utf8'), key: readFileSync(key, 'utf8') };
  }

  #path(name: string): string {
    return join(this.#folder, name);
  }
}

function newKey(path: string, kind: 'ec' | 'rsa' = 'ec'): string[] {
  if (kind === 'rsa') return ['-newkey', 'rsa:2048', '-nodes', '-keyout', path];
  return ['-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:P-256', '-nodes', '-keyout', path];
}

function openssl(args: readonly string[]): void {
  execFileSync('openssl', args, { stdio: ['ignore', 'ignore', 'pipe'] });
}
