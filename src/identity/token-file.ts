/**
 * The tokens file of an authority: looked at with each request, read again when it changed.
 *
 * A line that is added works at once, one that is taken out is refused at once. A file that cannot be
 * read lets nobody in: the answer is 503, since nobody can say whose a token is.
 */

import { appendFile, mkdir, readFile, stat } from 'node:fs/promises';
import { dirname } from 'node:path';
import type { WallTime } from '../base/clock.ts';
import type { Secret } from '../base/secret.ts';
import { authorityLimits } from '../model/authority-limits.ts';
import { FileTokens, makeFileToken, type TokenTerms } from './file-token.ts';
import type { Caller, TokenProblem } from './token.ts';

export interface TokenFileOptions {
  readonly path: string;
  readonly wallTime: WallTime;
  /** Lines that cannot be read, and a file that cannot. */
  readonly onTrouble: (message: string) => void;
}

export class TokenFile {
  readonly #options: TokenFileOptions;
  #seen = '';
  #tokens = new FileTokens('');
  #trouble = '';

  constructor(options: TokenFileOptions) {
    this.#options = options;
  }

  readonly verify = async (token: Secret): Promise<Caller | TokenProblem> => {
    const { onTrouble, path, wallTime } = this.#options;
    try {
      await this.#look();
    } catch (error) {
      const trouble = `${path}: ${error instanceof Error ? error.message : String(error)}`;
      if (trouble !== this.#trouble) onTrouble(trouble);
      this.#trouble = trouble;
      const message = 'the tokens file cannot be read; the log of the authority says why';
      return { status: 503, cause: 'tokens-unreadable', message };
    }
    this.#trouble = '';
    return this.#tokens.verify(token, wallTime());
  };

  async #look(): Promise<void> {
    const { onTrouble, path } = this.#options;
    const looks = await looksOf(path);
    if (looks === this.#seen) return;
    const text = looks === absent ? '' : await readFile(path, 'utf8');
    if (text.length > authorityLimits.tokensFileBytesMax) throw new Error('the file is too long');
    this.#tokens = new FileTokens(text);
    this.#seen = looks;
    for (const problem of this.#tokens.problems)
      onTrouble(`${path}: ${problem}; it lets nobody in`);
  }
}

/** Makes a token, adds its line to the file (0600) and gives the token, which is stored nowhere. */
export async function addToken(path: string, terms: TokenTerms): Promise<Secret> {
  const { token, line } = makeFileToken(terms);
  await mkdir(dirname(path), { recursive: true, mode: 0o711 });
  await appendFile(path, line, { mode: 0o600, flush: true });
  return token;
}

const absent = 'absent';

async function looksOf(path: string): Promise<string> {
  try {
    const { dev, ino, size, mtimeNs } = await stat(path, { bigint: true });
    return `${dev} ${ino} ${size} ${mtimeNs}`;
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return absent;
    throw error;
  }
}
