/**
 * What the Upgrade fields of a head name: protocols that a request offers, or the one that was taken.
 *
 * Names are compared without case, a version belongs to them (RFC 9110 section 7.8). Cold: of heads
 * that ask for a switch of protocols only.
 */

import { FieldId } from './field-id.ts';
import type { MessageHead } from './message-head.ts';

/** Lower-case, in their order; empty when there is no Upgrade. */
export function upgradeTokens(head: MessageHead): readonly string[] {
  const tokens: string[] = [];
  let index = head.indexOf(FieldId.Upgrade);
  for (; index >= 0; index = head.indexOf(FieldId.Upgrade, index + 1)) {
    for (const member of head.value(index).split(',')) {
      const token = member.trim().toLowerCase();
      if (token !== '') tokens.push(token);
    }
  }
  return tokens;
}
