/**
 * Logins that hold for a connection and not for a request: NTLM, and Negotiate, which may be NTLM
 * (RFC 4559 section 6 forbids to share such a connection). Once such a request went over an upstream
 * connection, every later one on it is answered as that user: it must never be lent to another
 * downstream.
 */

import { FieldId } from '../wire/http1/field-id.ts';
import type { MessageHead } from '../wire/http1/message-head.ts';

const schemes = /^(?:ntlm|negotiate)(?: |$)/i;

/** Whether the request `head` logs its connection in. */
export function isLoginOfConnection(head: MessageHead): boolean {
  return isLogin(head, FieldId.Authorization) || isLogin(head, FieldId.ProxyAuthorization);
}

function isLogin(head: MessageHead, id: number): boolean {
  const index = head.indexOf(id);
  return index !== -1 && schemes.test(head.value(index));
}
