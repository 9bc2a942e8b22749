/**
 * Roots and own certificate for TLS to services outside the mesh: read, checked, and read again whenever
 * they change; one for each set of files, shared by clusters.
 *
 *   files ──first good reading──► generation 1 ──they change──► 2 ──► ...     none: the system's roots, 1
 *
 * Files that do not fit together change nothing: what was good stays, and when they are no better at the
 * next look the log says why, once. They are looked at from time to time, because the kernel's notices
 * miss the swap of a mounted Secret.
 */

import { X509Certificate } from 'node:crypto';
import { readFile, stat } from 'node:fs/promises';
import { createSecureContext, getCACertificates, type SecureContext } from 'node:tls';
import { misfitOf } from '../../identity/key-pair.ts';
import type { UpstreamTls } from '../../model/security.ts';
import type { ProxyScope } from '../scope/proxy-scope.ts';

/** TLS to a service outside. */
export type OriginationTls = Extract<UpstreamTls, { readonly mode: 'simple' | 'mutual' }>;

interface FileTexts {
  readonly ca: Buffer | undefined;
  readonly cert: Buffer | undefined;
  readonly key: Buffer | undefined;
}

/** Settings with the same key share their files. */
export function filesKeyOf({ caFile, certificateFile, keyFile }: OriginationTls): string {
  return JSON.stringify([caFile, certificateFile, keyFile]);
}

export class OriginationFiles {
  /** Resolves when the files have been looked at once, good or bad. */
  readonly loaded: Promise<void>;
  /** Of the files in use; 0: none have been good yet. */
  generation = 0;
  /** Undefined until then. */
  context: SecureContext | undefined;
  readonly #scope: ProxyScope;
  readonly #settings: OriginationTls;
  readonly #onGeneration: () => void;
  readonly #paths: readonly string[];
  /** What the files looked like when they were last read. */
  #seen = '';
  /** What was wrong at the last look; empty: nothing. */
  #doubt = '';
  #complaint = 'not read yet';
  #callOff: (() => void) | undefined;
  #isClosed = false;

  /** `onGeneration`: connections of older files are not to be lent any more. */
  constructor(scope: ProxyScope, settings: OriginationTls, onGeneration: () => void) {
    this.#scope = scope;
    this.#settings = settings;
    this.#onGeneration = onGeneration;
    const { caFile, certificateFile, keyFile } = settings;
    this.#paths = [caFile, certificateFile, keyFile].filter((path) => path !== '');
    this.loaded = this.#start();
  }

  /** Why there is no `context`. */
  get problem(): string {
    return `${this.#paths.join(', ')}: ${this.#complaint}`;
  }

  close(): void {
    this.#isClosed = true;
    this.#callOff?.();
  }

  async #start(): Promise<void> {
    await this.#look();
    if (this.#isClosed || this.#paths.length === 0) return;
    const { wakeUps, limits } = this.#scope;
    this.#callOff = wakeUps.after(limits.tlsPollMs, () => void this.#start());
  }

  async #look(): Promise<void> {
    let isRead = false;
    try {
      const looks = await this.#looks();
      if (looks === this.#seen) {
        if (this.#doubt !== '') this.#complain(this.#doubt);
        if (this.#paths.length > 0) return;
      }
      const texts = await this.#read();
      // Changed while they were read: the next look decides.
      if ((await this.#looks()) !== looks || this.#isClosed) return;
      this.#seen = looks;
      isRead = true;
      this.context = this.#contextOf(texts);
      this.#doubt = '';
      this.#complaint = '';
      this.generation++;
      if (this.generation === 1) return;
      this.#scope.log('info', `TLS to upstreams: ${this.#paths.join(', ')}: read again`);
      this.#onGeneration();
    } catch (error) {
      if (!isRead) this.#seen = '';
      const problem = error instanceof Error ? error.message : String(error);
      const isNew = problem !== this.#doubt;
      this.#doubt = problem;
      if (this.generation === 0 || !isNew) this.#complain(problem);
    }
  }

  /** Changes when a file is written, replaced, or a link on the way to it is. */
  async #looks(): Promise<string> {
    const stats = await Promise.all(this.#paths.map((path) => stat(path, { bigint: true })));
    return stats
      .map(({ dev, ino, size, mtimeNs, ctimeNs }) => `${dev} ${ino} ${size} ${mtimeNs} ${ctimeNs}`)
      .join(', ');
  }

  /** Roots, certificate and key, as far as there are to be any. */
  async #read(): Promise<FileTexts> {
    const { caFile, certificateFile, keyFile } = this.#settings;
    const [ca, cert, key] = await Promise.all(
      [caFile, certificateFile, keyFile].map((path) => (path === '' ? undefined : readFile(path))),
    );
    return { ca, cert, key };
  }

  /** Throws when the files do not fit together. */
  #contextOf({ ca, cert, key }: FileTexts): SecureContext {
    if (ca !== undefined) checkRoots(this.#settings.caFile, String(ca));
    const own = cert === undefined || key === undefined ? undefined : { cert, key };
    if (own !== undefined) {
      const problem = misfitOf(new X509Certificate(own.cert), own.key, this.#settings);
      if (problem !== undefined) throw new Error(problem);
    }
    return createSecureContext({ minVersion: 'TLSv1.2', ca: ca ?? systemRoots(), ...own });
  }

  #complain(problem: string): void {
    if (problem === this.#complaint || this.#isClosed) return;
    this.#complaint = problem;
    const what =
      this.context === undefined ? 'nothing is sent until they are good' : 'old ones stay';
    const text = `TLS to upstreams: ${this.#paths.join(', ')}: ${problem}; ${what}`;
    this.#scope.log('warn', text);
  }
}

/** Those of Mozilla that Node.js brings, where the system has none. */
function systemRoots(): string[] {
  const roots = getCACertificates('system');
  return roots.length > 0 ? roots : getCACertificates('default');
}

/** Throws unless every certificate of the file reads: OpenSSL passes over what it cannot, silently. */
function checkRoots(path: string, text: string): void {
  const blocks = text.match(/-----BEGIN CERTIFICATE-----[\s\S]*?(?:-----END CERTIFICATE-----|$)/g);
  if (blocks === null) throw new Error(`${path} holds no certificate`);
  for (const block of blocks) {
    try {
      new X509Certificate(block);
    } catch {
      throw new Error(`${path} holds a certificate that cannot be read`);
    }
  }
}
