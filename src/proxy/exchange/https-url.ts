/**
 * Where a request that came in plain text is told to come to: the same authority and target, by https.
 */

import type { MessageHead } from '../../wire/http1/message-head.ts';

const HTTPS_PORT = 443;

/**
 * Who named a port came to the very listener, so `httpsPort`, the one of TLS beside it, is meant; who named
 * none came by the usual ports, which something before us maps to ours.
 */
export function httpsUrl(head: MessageHead, httpsPort: number): string {
  const authority = head.authority();
  const colon = /:\d*$/.exec(authority)?.index ?? authority.length;
  const isPlain = colon === authority.length || httpsPort === HTTPS_PORT;
  const target = head.target();
  const path = target.startsWith('/') ? target : '/';
  return `https://${authority.slice(0, colon)}${isPlain ? '' : `:${httpsPort}`}${path}`;
}
