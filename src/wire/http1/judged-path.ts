/**
 * The path that policies judge: the normal form (target.ts), and one spelling for every character more.
 *
 *   /v1/items%3Adelete ──► /v1/items:delete         /a|b ──► /a%7Cb         %2F, %25, %C3, ; : as they are
 *
 * RFC 3986 section 6.2.2 lets a proxy resolve escapes of unreserved characters only, and no other request
 * is touched; but whoever keeps a path out means all that its server takes for that path. Idempotent.
 */

import { escapeOf, isPlainInPath } from '../../base/path-character.ts';
import type { MessageHead } from './message-head.ts';

const others = '/;';

/** 1: the character is an escape's first, or may not stand as itself. */
const isOdd = Uint8Array.from({ length: 256 }, (_, code) => {
  const character = String.fromCharCode(code);
  return isPlainInPath(character) || others.includes(character) ? 0 : 1;
});

/** What is matched and forwarded from now on is the judged form. Of a head without a fault in its path. */
export function settleJudgedPath(head: MessageHead): void {
  const path = head.path();
  for (let at = 0; at < path.length; at++) {
    if (isOdd[path.charCodeAt(at)] === 0) continue;
    const judged = judgedForm(path);
    if (judged !== path) head.normalPath = judged;
    return;
  }
}

/** Of a path in its normal form. */
export function judgedForm(path: string): string {
  return path.replace(/%[0-9A-F]{2}|[^%]/g, (written) => {
    if (written.length === 1)
      return isOdd[written.charCodeAt(0)] === 0 ? written : escapeOf(written);
    const character = String.fromCharCode(Number.parseInt(written.slice(1), 16));
    return isPlainInPath(character) ? character : written;
  });
}
