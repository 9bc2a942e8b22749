/**
 * Logins that hold for a connection and not for a request: NTLM, and Negotiate, which may be NTLM
 * (RFC 4559 section 6 forbids to share such a connection). Once such a request went over an upstream
 * connection, every later one on it is answered as that user: it must never be lent to another
 * downstream.
 */

import { FieldId } from '../../wire/http1/field-id.ts';
import type { MessageHead } from '../../wire/http1/message-head.ts';

const LOWER_CASE = 0x20;
const LETTER_N = 0x6e;
const schemes = /^(?:ntlm|negotiate)(?: |$)/i;

/** Whether the request `head` logs its connection in. */
export function isLoginOfConnection(head: MessageHead): boolean {
  return isLogin(head, FieldId.Authorization) || isLogin(head, FieldId.ProxyAuthorization);
}

function isLogin(head: MessageHead, id: number): boolean {
  const index = head.indexOf(id);
  if (index === -1) return false;
  // Most are Bearer or Basic: no string is made to see that.
  const first = head.text.charCodeAt(head.valueStart[index]!) | LOWER_CASE;
  return first === LETTER_N && schemes.test(head.value(index));
}
