/**
 * Which failure a system error of a connect is. Anything unknown counts as no way to the host.
 */

import { type Failure, failure } from '../model/failure.ts';

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
      return failure['no-route-to-host'];
  }
}
