/**
 * Tokens of machines without Kubernetes: who shows one is the service account that it was made for.
 *
 *   a line of DIR/tokens:  SHA-256-OF-THE-TOKEN  NAMESPACE  SERVICE-ACCOUNT  END
 *
 * The file cannot be used to become somebody: it holds hashes only. A line that is taken out revokes the
 * token. A line that cannot be read counts as absent and is complained about; it never lets anybody in.
 */

import { createHash, generateKeySync } from 'node:crypto';
import { Secret } from '../base/secret.ts';
import { workloadId } from './spiffe-id.ts';
import type { Caller, TokenProblem } from './token.ts';

export interface TokenTerms {
  readonly namespace: string;
  readonly serviceAccount: string;
  /** Milliseconds since the epoch. */
  readonly notAfterMs: number;
}

/** A fresh token of 256 bits, and its line for the file, with its end. */
export function makeFileToken(terms: TokenTerms): { token: Secret; line: string } {
  const bytes = generateKeySync('hmac', { length: 256 }).export();
  const token = `tct_${bytes.toString('base64url')}`;
  const { namespace, serviceAccount, notAfterMs } = terms;
  const end = new Date(notAfterMs).toISOString();
  return {
    token: new Secret(token),
    line: `${hashOf(token)} ${namespace} ${serviceAccount} ${end}\n`,
  };
}

/** The tokens of one reading of the file. */
export class FileTokens {
  /** `line 3: ...`, for people. */
  readonly problems: readonly string[];
  readonly #byHash: ReadonlyMap<string, TokenTerms>;

  constructor(text: string) {
    const problems: string[] = [];
    const byHash = new Map<string, TokenTerms>();
    for (const [index, line] of text.split('\n').entries()) {
      const words = line.trim();
      if (words === '' || words.startsWith('#')) continue;
      const read = readLine(words);
      if ('problem' in read) problems.push(`line ${index + 1}: ${read.problem}`);
      else byHash.set(read.hash, read.terms);
    }
    this.problems = problems;
    this.#byHash = byHash;
  }

  get count(): number {
    return this.#byHash.size;
  }

  /** @param nowMs milliseconds since the epoch */
  verify(token: Secret, nowMs: number): Caller | TokenProblem {
    const hash = hashOf(token.reveal());
    const terms = this.#byHash.get(hash);
    if (terms === undefined) {
      const message = 'nobody was given this token, or its line was taken out of the tokens file';
      return { status: 401, cause: 'token-unknown', message };
    }
    const { namespace, serviceAccount, notAfterMs } = terms;
    if (nowMs >= notAfterMs) {
      const end = new Date(notAfterMs).toISOString();
      const message = `the token ended at ${end}; \`tracecar ca token\` makes another`;
      return { status: 401, cause: 'token-expired', message };
    }
    const who = `token ${hash.slice(0, 12)}`;
    return { namespace, serviceAccount, who, limitKey: hash, isShared: true };
  }
}

function readLine(
  line: string,
): { hash: string; terms: TokenTerms } | { readonly problem: string } {
  const [hash = '', namespace = '', serviceAccount = '', end = '', ...more] = line.split(/\s+/);
  if (more.length > 0 || end === '') {
    return { problem: 'four words are expected: SHA-256, namespace, service account, end' };
  }
  if (!/^[0-9a-f]{64}$/.test(hash)) return { problem: 'the first word is no SHA-256 in hex' };
  // The trust domain does not matter here: it is the names that have to be fit for an id.
  if (workloadId('td', namespace, serviceAccount) === undefined) {
    return {
      problem: `${JSON.stringify(`${namespace}/${serviceAccount}`)} can be in no SPIFFE id`,
    };
  }
  const notAfterMs = Date.parse(end);
  if (Number.isNaN(notAfterMs))
    return { problem: 'its end is no time such as 2027-01-31T00:00:00Z' };
  return { hash, terms: { namespace, serviceAccount, notAfterMs } };
}

function hashOf(token: string): string {
  return createHash('sha256').update(token).digest('hex');
}
