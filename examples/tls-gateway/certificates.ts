/**
 * Certificates of the example, made by the openssl program as anybody makes them: a root, and leaves in
 * folders as Secrets are mounted.
 */

import { execFileSync } from 'node:child_process';
import { mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';

export type KeyKind = 'ecdsa' | 'rsa';

export class Certificates {
  readonly #folder: string;
  #serial = 1;

  /** A root in `folder`, which is empty. */
  constructor(folder: string) {
    this.#folder = folder;
    this.#openssl(
      ['req', '-x509', ...newKey('ecdsa', 'ca.key'), '-out', 'ca.crt', '-days', '2'],
      ['-subj', '/CN=Example root'],
    );
  }

  /** PEM. */
  get root(): string {
    return readFileSync(join(this.#folder, 'ca.crt'), 'utf8');
  }

  /** Writes tls.crt and tls.key for `name` into the folder `secret`, and ca.crt beside them. */
  issue(secret: string, name: string, kind: KeyKind = 'ecdsa'): string {
    const path = join(this.#folder, secret);
    mkdirSync(path, { recursive: true });
    const names = ['-subj', `/CN=${name}`, '-addext', `subjectAltName=DNS:${name}`];
    this.#openssl(['req', ...newKey(kind, `${secret}/tls.key`), '-out', 'leaf.csr'], names);
    const signer = ['-CA', 'ca.crt', '-CAkey', 'ca.key', '-set_serial', String(this.#serial++)];
    const terms = ['-days', '2', '-copy_extensions', 'copy', '-out', `${secret}/tls.crt`];
    this.#openssl(['x509', '-req', '-in', 'leaf.csr'], [...signer, ...terms]);
    writeFileSync(join(path, 'ca.crt'), this.root);
    return path;
  }

  #openssl(command: readonly string[], more: readonly string[]): void {
    const options = { cwd: this.#folder, stdio: ['ignore', 'ignore', 'pipe'] as const };
    execFileSync('openssl', [...command, ...more], { ...options, stdio: [...options.stdio] });
  }
}

function newKey(kind: KeyKind, file: string): string[] {
  const key = kind === 'rsa' ? ['rsa:2048'] : ['ec', '-pkeyopt', 'ec_paramgen_curve:P-256'];
  return ['-newkey', ...key, '-nodes', '-keyout', file];
}
