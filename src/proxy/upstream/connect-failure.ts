/**
 * Which failure an error of a connect is: the system's, or one of TLS, which has its cause for a code
 * (upstream-handshake.ts). Anything unknown counts as no way to the host.
 */

import { type Failure, failure } from '../../model/failure.ts';

/** `code` is the system's word, as in `error.code`; '' when the connection just closed. */
export function connectFailure(code: string): Failure {
  switch (code) {
    case 'ECONNREFUSED':
    case 'ECONNRESET':
    case '':
      return failure['connect-refused'];
    case 'ETIMEDOUT':
      return failure['connect-timeout'];
    default:
      return tlsFailure(code) ?? failure['no-route-to-host'];
  }
}

/** `code` as a cause of TLS; undefined where it is none. */
export function tlsFailure(code: string): Failure | undefined {
  switch (code) {
    case 'tls-failed':
    case 'tls-expired':
    case 'tls-wrong-identity':
    case 'tls-plaintext-peer':
    case 'tls-unknown-ca':
      return failure[code];
    default:
      return undefined;
  }
}
