/**
 * The path that policies judge: the normal form (target.ts), and one spelling for every character more.
 *
 *   /v1/items%3Adelete ──► /v1/items:delete         /a|b ──► /a%7Cb         %2F, %25, %C3, ; : as they are
 *
 * RFC 3986 section 6.2.2 lets a proxy resolve escapes of unreserved characters only, and no other request
 * is touched; but whoever keeps a path out means all that its server takes for that path. Idempotent.
 */

import { escapeOf, isPlainInPath } from '../../base/path-character.ts';
import { hexValue } from './byte-class.ts';
import type { MessageHead } from './message-head.ts';

const PERCENT = 0x25;

/** 1: stands as itself, so its escape is resolved. */
const isPlain = Uint8Array.from({ length: 256 }, (_, code) =>
  isPlainInPath(String.fromCharCode(code)) ? 1 : 0,
);

/** 1: may stand in the path as it is. */
const isTaken = isPlain.map((plain, code) =>
  plain === 1 || code === 0x2f || code === 0x3b ? 1 : 0,
);

/** What is matched and forwarded from now on is the judged form. Of a head without a fault in its path. */
export function settleJudgedPath(head: MessageHead): void {
  const path = head.path();
  for (let at = 0; at < path.length; at++) {
    const code = path.charCodeAt(at);
    if (isTaken[code] === 1) continue;
    if (code !== PERCENT || isPlain[escapedCode(path, at)] === 1) {
      head.normalPath = judgedForm(path);
      return;
    }
    at += 2;
  }
}

/** Of a path in its normal form. */
export function judgedForm(path: string): string {
  return path.replace(/%[0-9A-F]{2}|[^%]/g, (written) => {
    const code = written.length === 1 ? written.charCodeAt(0) : escapedCode(written, 0);
    if (written.length === 1) return isTaken[code] === 1 ? written : escapeOf(written);
    return isPlain[code] === 1 ? String.fromCharCode(code) : written;
  });
}

/** What the escape at `at` stands for. */
function escapedCode(path: string, at: number): number {
  return hexValue[path.charCodeAt(at + 1)]! * 16 + hexValue[path.charCodeAt(at + 2)]!;
}
