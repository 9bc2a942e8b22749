/**
 * Credentials that came with the configuration and are no files: PEM by the names that tables use,
 * `secret:default/shop/tls.key#1f0a...`.
 *
 * A name holds a digest of what it stands for, so what a name means never changes: another content is
 * another name. Nothing here is printed.
 */

import { Secret } from '../../base/secret.ts';

const SCHEME = 'secret:';

export class CredentialStore {
  #texts = new Map<string, Secret>();

  /** The names of the table to come; the others are forgotten. */
  replace(texts: ReadonlyMap<string, string>): void {
    this.#texts = new Map([...texts].map(([name, text]) => [name, new Secret(text)]));
  }

  /** Throws an Error for a name that is not of the newest table. */
  read(name: string): Buffer {
    const text = this.#texts.get(name);
    if (text === undefined) throw new Error(`${stableName(name)} is not in the configuration`);
    return Buffer.from(text.reveal());
  }
}

/** Whether a table's certificate is one of these, and no file. */
export function isCredential(path: string): boolean {
  return path.startsWith(SCHEME);
}

/** The same for all contents; a file's path is its own. */
export function stableName(path: string): string {
  return isCredential(path) ? path.replace(/#[0-9a-f]*$/, '') : path;
}
