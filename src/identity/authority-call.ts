/**
 * One call of the authority: a request for a certificate out, certificates and roots back.
 *
 * The token leaves only after the handshake has shown who is there: a chain to the trust bundle, TLS 1.3,
 * and exactly the authority's own SPIFFE id. Nothing is repeated here, and no proxy is asked.
 */

import type { Milliseconds } from '../base/clock.ts';
import type { WakeUps } from '../base/deadlines.ts';
import { withPlainPeers } from '../base/peer-certificate.ts';
import type { Secret } from '../base/secret.ts';
import { readSvid } from './svid.ts';

/** Where an authority listens, and who it is. */
export interface AuthorityPlace {
  /** A name or an address. */
  readonly host: string;
  readonly port: number;
  /** SPIFFE id that its certificate has. */
  readonly id: string;
}

export interface SignRequest {
  /** PEM; whoever answers has to be signed by one of them. */
  readonly roots: string;
  readonly token: Secret;
  /** PKCS #10, PEM. */
  readonly csr: string;
  /** Of the bundle in use; empty: none is. */
  readonly bundleHash: string;
  /** Names this sidecar among those that the authority knows: of two that live each has its own. */
  readonly instance: string;
}

/** As it came: nothing of it has been believed yet. */
export interface SignAnswer {
  readonly certificates: string;
  readonly bundle: string;
}

export interface CallProblem {
  /** For a person: what, where, likely cause. */
  readonly problem: string;
  /** How long the authority wants to be left alone; 0: it has not said. */
  readonly retryAfterMs: Milliseconds;
}

export type SignCall = (request: SignRequest) => Promise<SignAnswer | CallProblem>;

export interface CallOptions {
  readonly place: AuthorityPlace;
  readonly wakeUps: WakeUps;
  readonly timeoutMs: Milliseconds;
  readonly answerBytesMax: number;
}

interface Reply {
  readonly status: number;
  readonly retryAfter: string;
  readonly body: string;
}

/** Never rejects. */
export async function callAuthority(
  options: CallOptions,
  wanted: SignRequest,
): Promise<SignAnswer | CallProblem> {
  try {
    return readReply(options.place, await send(options, wanted));
  } catch (error) {
    return { problem: whyUnreached(options.place, error), retryAfterMs: 0 };
  }
}

function send({ place, wakeUps, timeoutMs, answerBytesMax }: CallOptions, wanted: SignRequest) {
  const { csr, bundleHash, instance } = wanted;
  const body = JSON.stringify({ csr, bundleHash, instance });
  return new Promise<Reply>((resolve, reject) => {
    // Loaded by those who have an identity, and not by an ESM import (admin/page-server.ts says what it costs).
    const { Agent, request } = process.getBuiltinModule('node:https');
    const agent = withPlainPeers(new Agent());
    const call = request({
      ...{ host: place.host, port: place.port, method: 'POST', path: '/v1/sign', agent },
      ...{ ca: wanted.roots, minVersion: 'TLSv1.3', checkServerIdentity: whoIs(place.id) },
      // Said here, so that NODE_TLS_REJECT_UNAUTHORIZED of somebody's environment gives no token away.
      rejectUnauthorized: true,
      headers: {
        authorization: `Bearer ${wanted.token.reveal()}`,
        'content-type': 'application/json',
        'content-length': Buffer.byteLength(body),
      },
    });
    const end = wakeUps.after(timeoutMs, () =>
      call.destroy(new Error(`gave no answer in ${timeoutMs / 1000} s`)),
    );
    call.on('close', end);
    call.on('error', reject);
    call.on('response', (response) => {
      const chunks: Buffer[] = [];
      let length = 0;
      response.on('error', reject);
      response.on('data', (chunk: Buffer) => {
        chunks.push(chunk);
        length += chunk.length;
        if (length > answerBytesMax) {
          call.destroy(new Error(`answered with more than ${answerBytesMax} bytes`));
        }
      });
      response.on('end', () =>
        resolve({
          status: response.statusCode ?? 0,
          retryAfter: response.headers['retry-after'] ?? '',
          body: Buffer.concat(chunks).toString(),
        }),
      );
    });
    call.end(body);
  });
}

/** Instead of the check of names: an authority is its SPIFFE id, under whatever name it was dialled. */
function whoIs(expected: string) {
  return (_host: string, { raw }: { readonly raw: Buffer }): Error | undefined => {
    const svid = readSvid(raw);
    if ('problem' in svid) return new Error(`is no authority of the mesh: ${svid.problem}`);
    if (svid.id === expected) return undefined;
    return new Error(`is ${svid.id}, and the authority is ${expected}`);
  };
}

function readReply(place: AuthorityPlace, { status, retryAfter, body }: Reply) {
  const seconds = /^\d{1,6}$/.test(retryAfter) ? Number(retryAfter) : 0;
  const refuse = (problem: string): CallProblem => ({
    problem: `${nameOf(place)} ${problem}`,
    retryAfterMs: seconds * 1000,
  });
  const fields = objectOf(body);
  if (status !== 200) {
    const message = String(fields?.message ?? fields?.cause ?? body)
      .slice(0, 500)
      .trim();
    return refuse(`answered ${status}${hints[status] ?? ''}: ${message}`);
  }
  const { certificates, bundle } = fields ?? {};
  if (typeof certificates === 'string' && typeof bundle === 'string') {
    return { certificates, bundle };
  }
  return refuse('answered with something that is not its protocol');
}

/** What a status of the authority means to whoever runs the sidecar. */
const hints: Readonly<Record<number, string>> = {
  401: ', it does not take the token',
  403: ', the token is for nobody that it may sign',
  429: ', too many requests',
  503: ', it cannot check the token now',
};

function objectOf(text: string): Readonly<Record<string, unknown>> | undefined {
  try {
    const value: unknown = JSON.parse(text);
    return typeof value === 'object' && value !== null ? { ...value } : undefined;
  } catch {
    return undefined;
  }
}

/** `the authority at ca.example:15010` */
function nameOf({ host, port }: AuthorityPlace): string {
  return `the authority at ${host.includes(':') ? `[${host}]` : host}:${port}`;
}

const clockHint = '; is the clock of one of the two machines wrong?';
const bundleHint =
  ' has a certificate that no root of the trust bundle has signed: another authority, or an old bundle' +
  ' (`tracecar ca bundle` prints the present one)';

const reasons: Readonly<Record<string, string>> = {
  ECONNREFUSED: ' refuses connections; does `tracecar ca` run there?',
  ENOTFOUND: ' has a name that nobody knows',
  EAI_AGAIN: ' has a name that cannot be looked up now',
  ECONNRESET: ' closed the connection',
  UNABLE_TO_VERIFY_LEAF_SIGNATURE: bundleHint,
  UNABLE_TO_GET_ISSUER_CERT: bundleHint,
  UNABLE_TO_GET_ISSUER_CERT_LOCALLY: bundleHint,
  SELF_SIGNED_CERT_IN_CHAIN: bundleHint,
  DEPTH_ZERO_SELF_SIGNED_CERT: bundleHint,
  CERT_SIGNATURE_FAILURE: bundleHint,
  CERT_HAS_EXPIRED: ` has a certificate that has expired${clockHint}`,
  CERT_NOT_YET_VALID: ` has a certificate that is not valid yet${clockHint}`,
};

function whyUnreached(place: AuthorityPlace, error: unknown): string {
  const { code = '', message } = error as NodeJS.ErrnoException;
  return `${nameOf(place)}${reasons[code] ?? ` ${message}`}`;
}
