/**
 * Key, certificates and roots in a folder, so that a sidecar that starts again is who it was.
 *
 * The folder is meant to be in memory and this user's alone (a pod's emptyDir). One file holds all that
 * belongs together, is replaced as a whole, and is read by its owner only.
 */

import { readFileSync, renameSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { Secret } from '../base/secret.ts';

export interface StoredIdentity {
  readonly privateKey: Secret;
  /** PEM: the leaf, then its intermediates. */
  readonly certificates: string;
  /** PEM. */
  readonly roots: string;
  /** Hash of the configured bundle that was taken last: another one since counts more than `roots`. */
  readonly configuredHash: string;
}

export interface StoreProblem {
  readonly problem: string;
}

export class IdentityStore {
  readonly #path: string;
  readonly #owner: string;

  /** `owner`: names whose identity is kept there (its file of tokens); another one's is not used. */
  constructor(folder: string, owner: string) {
    this.#owner = owner;
    this.#path = join(folder, 'identity.json');
  }

  /** What was kept; undefined where nothing was. */
  read(): StoredIdentity | StoreProblem | undefined {
    try {
      const text = readFileSync(this.#path, 'utf8');
      const { mode, uid } = statSync(this.#path);
      if ((mode & 0o077) !== 0) {
        return { problem: `${this.#path} may be read by others, so its key is not used` };
      }
      // Somebody else could have put it there, to make us who they are.
      if (uid !== process.geteuid?.()) {
        return { problem: `${this.#path} belongs to user ${uid}, so its key is not used` };
      }
      const { key, certificates, roots, configuredHash, owner } = JSON.parse(text);
      // Those of before had none.
      if (typeof owner === 'string' && owner !== this.#owner) {
        return { problem: `${this.#path} is the identity of another sidecar (--token ${owner})` };
      }
      const texts: readonly unknown[] = [key, certificates, roots, configuredHash];
      if (texts.every((each) => typeof each === 'string')) {
        return { privateKey: new Secret(String(key)), certificates, roots, configuredHash };
      }
      return { problem: `${this.#path} holds something else` };
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code === 'ENOENT') return undefined;
      // Never the message of JSON.parse: it quotes the text, which holds the key.
      const { code = 'not JSON' } = error as NodeJS.ErrnoException;
      return { problem: `${this.#path} cannot be read (${code})` };
    }
  }

  /** Gives why it could not be kept. */
  write(identity: StoredIdentity): StoreProblem | undefined {
    const { privateKey, certificates, roots, configuredHash } = identity;
    const owner = this.#owner;
    const key = privateKey.reveal();
    const text = JSON.stringify({ key, certificates, roots, configuredHash, owner });
    const beside = `${this.#path}.new`;
    try {
      // A process that was killed may have left one.
      rmSync(beside, { force: true });
      writeFileSync(beside, text, { mode: 0o400, flag: 'wx' });
      renameSync(beside, this.#path);
      return undefined;
    } catch (error) {
      const { code = 'unknown' } = error as NodeJS.ErrnoException;
      return { problem: `${this.#path} cannot be written (${code})` };
    }
  }
}
