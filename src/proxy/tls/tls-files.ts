/**
 * The certificate files of one listener: read, checked, and read again whenever they change.
 *
 * It polls, because notices of the kernel miss what a Secret volume does: the files are links into a
 * folder that is itself swapped. Files that do not fit together (a new certificate, the old key) or
 * cannot be read change nothing: what was good stays. The rest of them may be about to come, so the log
 * says why when they are no better at the next look, once.
 */

import { constants, X509Certificate } from 'node:crypto';
import { readFile, stat } from 'node:fs/promises';
import type { SecureContextOptions } from 'node:tls';
import type { Milliseconds } from '../../base/clock.ts';
import type { WakeUps } from '../../base/deadlines.ts';
import { hostsWithout, wildcardsLost } from '../../identity/certificate-hosts.ts';
import { misfitOf } from '../../identity/key-pair.ts';
import type { TrafficLimits } from '../../model/limits.ts';
import type { CertificateFiles, ListenerTls } from '../../model/routing-table.ts';
import { type CredentialStore, isCredential, stableName } from '../scope/credential-store.ts';

/** Those of TLS 1.3, the cheapest first. */
const suites13 = 'TLS_AES_128_GCM_SHA256:TLS_AES_256_GCM_SHA384:TLS_CHACHA20_POLY1305_SHA256';
/** Of TLS 1.2: forward secrecy and authenticated encryption, nothing else (RFC 9325 section 4.2). */
const suites12 = ['AES128-GCM-SHA256', 'AES256-GCM-SHA384', 'CHACHA20-POLY1305']
  .flatMap((suite) => [`ECDHE-ECDSA-${suite}`, `ECDHE-RSA-${suite}`])
  .join(':');

/** A look at a file costs 35 us of CPU, and a gateway may have a thousand pairs (2026-11-26). */
const LOOKS_PER_KEY = 4;
/** In a line of the log: hosts, and characters of the names of a certificate. */
const HOSTS_SHOWN = 3;
const NAMES_SHOWN = 200;

export interface TlsFilesOptions {
  readonly settings: ListenerTls;
  /** What is no file. */
  readonly credentials: CredentialStore;
  readonly wakeUps: WakeUps;
  /** Until the next look. */
  readonly pollMs: () => number;
  /** Wall clock, milliseconds since the epoch. */
  readonly wallMs: () => number;
  readonly log: (level: 'info' | 'warn', text: string) => void;
  /** What is served with them; none: a listener that has no names. */
  readonly hosts: () => readonly string[];
  /** Files that were proved to fit together. */
  readonly onLoaded: (material: SecureContextOptions) => void;
}

/** A certificate that is served. */
export interface ServedCertificate {
  readonly file: string;
  /** Milliseconds since the epoch. */
  readonly notAfterMs: number;
}

export class TlsFiles {
  readonly #options: TlsFilesOptions;
  readonly #paths: readonly string[];
  readonly #certificateFiles: readonly string[];
  readonly #keyFiles: readonly string[];
  /** What the files looked like when they were last read, by path. */
  #seen: ReadonlyMap<string, string> = new Map();
  #looks = 0;
  #inUse: readonly X509Certificate[] = [];
  /** What was wrong at the last look; empty: nothing. */
  #doubt = '';
  #complaint = '';
  #isLoaded = false;
  #isClosed = false;
  #callOff: (() => void) | undefined;

  constructor(options: TlsFilesOptions) {
    this.#options = options;
    const { caFile } = options.settings;
    const pairs = pairsOf(options.settings);
    this.#certificateFiles = pairs.map(({ certificateFile }) => certificateFile);
    this.#keyFiles = pairs.map(({ keyFile }) => keyFile);
    this.#paths = [
      ...pairs.flatMap((pair) => [pair.certificateFile, pair.keyFile]),
      ...(caFile === '' ? [] : [caFile]),
    ];
  }

  /** Why nothing has been read that could be served; empty as soon as something has, for ever. */
  get whyUnloaded(): string {
    if (this.#isLoaded) return '';
    return `${this.#names}: ${this.#complaint || 'not read yet'}`;
  }

  get #names(): string {
    return this.#paths.map(stableName).join(', ');
  }

  /** Reads now and then whenever something has changed, until `close`; resolves after the first. */
  async start(): Promise<void> {
    await this.#look();
    const isFixed = this.#isLoaded && this.#paths.every(isCredential);
    if (this.#isClosed || isFixed) return;
    const { wakeUps, pollMs } = this.#options;
    this.#callOff = wakeUps.after(pollMs(), () => void this.start());
  }

  close(): void {
    this.#isClosed = true;
    this.#callOff?.();
  }

  /** Other hosts are served now: what was kept out may fit them, what is in use may not. */
  onHosts(): void {
    if (this.#doubt === '') this.#checkHosts(this.#inUse);
    else this.#seen = new Map();
  }

  /** Certificates in use. */
  get served(): readonly ServedCertificate[] {
    return this.#inUse.map(({ validToDate }, index) => ({
      file: stableName(this.#certificateFiles[index]!),
      notAfterMs: validToDate.getTime(),
    }));
  }

  async #look(): Promise<void> {
    let isRead = false;
    try {
      if (!(await this.#isChanged())) {
        if (this.#doubt !== '') this.#complain(this.#doubt);
        return;
      }
      const looks = await looksOf(this.#paths);
      const material = await this.#read();
      // Changed while it was read: the next look decides.
      const again = await looksOf(this.#paths);
      if (again.some((look, index) => look !== looks[index])) return;
      this.#seen = new Map(this.#paths.map((path, index) => [path, looks[index]!]));
      isRead = true;
      const certificates = this.#check(material);
      if (this.#isClosed) return;
      this.#options.onLoaded(material);
      this.#inUse = certificates;
      const wasMissed = this.#complaint !== '';
      this.#doubt = '';
      this.#complaint = '';
      if (this.#isLoaded)
        this.#options.log('info', `TLS: ${stableName(this.#paths[0]!)} was read again`);
      else if (wasMissed) this.#options.log('info', `TLS: ${this.#paths[0]} was read`);
      this.#isLoaded = true;
    } catch (error) {
      if (!isRead) this.#seen = new Map();
      const problem = error instanceof Error ? error.message : String(error);
      const isNew = problem !== this.#doubt;
      this.#doubt = problem;
      if (!this.#isLoaded || !isNew) this.#complain(problem);
    }
  }

  /** While all is well a key says nothing new without its certificate: it is looked at now and then. */
  #telling(): readonly string[] {
    const isWell = this.#isLoaded && this.#doubt === '';
    if (!isWell || this.#looks++ % LOOKS_PER_KEY === 0) return this.#paths;
    return this.#paths.filter((path) => !this.#keyFiles.includes(path));
  }

  async #isChanged(): Promise<boolean> {
    const paths = this.#telling();
    const looks = await looksOf(paths);
    return looks.some((look, index) => look !== this.#seen.get(paths[index]!));
  }

  async #read(): Promise<SecureContextOptions> {
    const { credentials } = this.#options;
    const read = (path: string) => (isCredential(path) ? credentials.read(path) : readFile(path));
    const readAll = (paths: readonly string[]) => Promise.all(paths.map(read));
    const { minVersion, caFile, ciphers } = this.#options.settings;
    const [cert, key, roots] = await Promise.all([
      readAll(this.#certificateFiles),
      readAll(this.#keyFiles),
      readAll(caFile === '' ? [] : [caFile]),
    ]);
    return {
      cert,
      key,
      minVersion,
      honorCipherOrder: true,
      ciphers: `${suites13}:${ciphers ?? suites12}`,
      secureOptions: constants.SSL_OP_NO_RENEGOTIATION,
      ...(roots.length === 0 ? {} : { ca: roots }),
    };
  }

  /** Throws when the files do not fit together, or when what is in use is better. */
  #check(material: SecureContextOptions): readonly X509Certificate[] {
    if (material.ca !== undefined) {
      checkAuthorities(this.#paths.at(-1)!, String((material.ca as Buffer[])[0]));
    }
    const kinds = new Set<string>();
    const certificates = (material.cert as Buffer[]).map((each) => new X509Certificate(each));
    certificates.forEach((certificate, index) => {
      const key = (material.key as Buffer[])[index]!;
      const path = this.#certificateFiles[index]!;
      const files = { certificateFile: path, keyFile: this.#keyFiles[index]! };
      const problem = misfitOf(certificate, key, files);
      if (problem !== undefined) throw new Error(problem);
      const kind = certificate.publicKey.asymmetricKeyType ?? '';
      if (kinds.has(kind)) throw new Error(`${path} is the second certificate of ${kind}`);
      kinds.add(kind);
      if (Date.parse(certificate.validTo) <= this.#options.wallMs()) {
        this.#complainOfEnd(path, certificate.validTo);
      }
    });
    this.#checkHosts(certificates);
    return certificates;
  }

  /** A host that is served now is served on: its callers would refuse a certificate without its name. */
  #checkHosts(certificates: readonly X509Certificate[]): void {
    const hosts = this.#options.hosts();
    const problems = certificates.flatMap((certificate, index) => {
      const inUse = this.#inUse[index];
      const lost = inUse === undefined ? [] : wildcardsLost(inUse, certificate, hosts);
      const missing = [...hostsWithout(certificate, hosts), ...lost];
      if (missing.length === 0) return [];
      const names = (certificate.subjectAltName ?? certificate.subject).slice(0, NAMES_SHOWN);
      const file = stableName(this.#certificateFiles[index]!);
      const problem = `${file} is for ${names}, not for ${listOf(missing)}`;
      const isLoss = inUse !== undefined && hostsWithout(inUse, missing).length < missing.length;
      if (isLoss) throw new Error(problem);
      return [problem];
    });
    for (const problem of problems) {
      this.#options.log('warn', `TLS: ${problem}: who calls these refuses it`);
    }
  }

  #complainOfEnd(path: string, validTo: string): void {
    const problem = `the certificate expired on ${validTo}`;
    if (this.#isLoaded) throw new Error(problem);
    this.#options.log('warn', `TLS: ${path}: ${problem}`);
  }

  #complain(problem: string): void {
    if (problem === this.#complaint || this.#isClosed) return;
    this.#complaint = problem;
    const what = this.#isLoaded
      ? 'the certificate read before stays in use'
      : 'nobody is served until the files are good';
    this.#options.log('warn', `TLS: ${this.#names}: ${problem}; ${what}`);
  }
}

/**
 * How long a set of files is left alone where there are `sets` of them. `share`, from 0 to 1, spreads what
 * began together.
 */
export function pollDelayMs(
  sets: number,
  share: number,
  {
    tlsPollMs,
    tlsPollsPerSecond,
    tlsPollMaxMs,
  }: Pick<TrafficLimits, 'tlsPollMs' | 'tlsPollsPerSecond' | 'tlsPollMaxMs'>,
): Milliseconds {
  const inTurnMs = (1_000 * sets) / tlsPollsPerSecond;
  return Math.max(tlsPollMs, Math.min(inTurnMs, tlsPollMaxMs)) * (0.75 + share / 4);
}

function looksOf(paths: readonly string[]): Promise<readonly string[]> {
  return Promise.all(paths.map(lookOf));
}

/** Changes when a file is written, replaced, or a link on the way to it is. */
async function lookOf(path: string): Promise<string> {
  if (isCredential(path)) return path;
  const { dev, ino, size, mtimeMs, ctimeMs } = await stat(path);
  return `${dev} ${ino} ${size} ${mtimeMs} ${ctimeMs}`;
}

function listOf(hosts: readonly string[]): string {
  const more = hosts.length - HOSTS_SHOWN;
  return `${hosts.slice(0, HOSTS_SHOWN).join(', ')}${more > 0 ? ` and ${more} more` : ''}`;
}

/** Throws unless every certificate of the file reads: OpenSSL passes over what it cannot, silently. */
function checkAuthorities(path: string, text: string): void {
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

/** The pairs of certificate and key, of different kinds of key. */
function pairsOf(settings: ListenerTls): readonly CertificateFiles[] {
  return [settings, ...(settings.otherPairs ?? [])];
}
