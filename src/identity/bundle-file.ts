/**
 * The file of the trust bundle, read again whenever it changes.
 *
 * It polls, as links of a ConfigMap are swapped above the file. Emptied, unreadable or not of
 * certificates alone, it changes nothing: the last good bundle holds, and the log says why, once.
 */

import { readFile, stat } from 'node:fs/promises';
import type { WakeUps } from '../base/deadlines.ts';
import type { AgentLimits } from '../model/agent-limits.ts';
import { readTrustBundle, type TrustBundle } from './trust-bundle.ts';

export interface BundleFileOptions {
  readonly path: string;
  readonly wakeUps: WakeUps;
  readonly limits: Pick<AgentLimits, 'bundleBytesMax' | 'bundlePollMs'>;
  readonly log: (level: 'warn', text: string) => void;
  readonly onBundle: (bundle: TrustBundle) => void;
}

export class BundleFile {
  readonly #options: BundleFileOptions;
  #seen = '';
  #hash = '';
  #complaint = '';
  #isClosed = false;
  #callOff: (() => void) | undefined;

  constructor(options: BundleFileOptions) {
    this.#options = options;
  }

  /** Why nothing good was ever read; empty once something was. */
  get problem(): string {
    return this.#hash === '' ? this.#complaint : '';
  }

  /** Reads now and then after each change, until `close`; resolves after the first reading. */
  async start(): Promise<void> {
    await this.#look();
    if (this.#isClosed) return;
    const { limits, wakeUps } = this.#options;
    this.#callOff = wakeUps.after(limits.bundlePollMs, () => void this.start());
  }

  close(): void {
    this.#isClosed = true;
    this.#callOff?.();
  }

  async #look(): Promise<void> {
    const { limits, path, onBundle } = this.#options;
    try {
      const { dev, ino, size, mtimeNs } = await stat(path, { bigint: true });
      const looks = `${dev} ${ino} ${size} ${mtimeNs}`;
      if (looks === this.#seen) return;
      if (size > limits.bundleBytesMax)
        throw new Error(`it has more than ${limits.bundleBytesMax} bytes`);
      const bundle = readTrustBundle(await readFile(path, 'utf8'));
      this.#seen = looks;
      if ('problem' in bundle) throw new Error(bundle.problem);
      this.#complaint = '';
      if (this.#isClosed || bundle.hash === this.#hash) return;
      this.#hash = bundle.hash;
      onBundle(bundle);
    } catch (error) {
      this.#complain(error instanceof Error ? error.message : String(error));
    }
  }

  #complain(problem: string): void {
    if (problem === this.#complaint || this.#isClosed) return;
    this.#complaint = problem;
    const what =
      this.#hash === '' ? 'nobody can be believed' : 'the bundle read before stays in use';
    this.#options.log('warn', `trust bundle ${this.#options.path}: ${problem}; ${what}`);
  }
}
