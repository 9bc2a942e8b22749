/**
 * `x-forwarded-client-cert`: what an application hears of who called it (Envoy's header, one element).
 *
 *   By=spiffe://.../sa/web;Hash=<SHA-256 of the leaf>;Subject="";URI=spiffe://.../sa/cart
 *
 * Only what our own handshake has proved is said. What came with the request is taken out first, whoever
 * sent it: an application that trusts the header must be able to.
 */

import { FieldId } from '../../wire/http1/field-id.ts';
import { Dropped, type MessageHead } from '../../wire/http1/message-head.ts';
import type { MeshPeer } from '../mesh/mesh-peer.ts';
import type { ProxyScope } from '../scope/proxy-scope.ts';

/** The line of a connection's requests, whole; '' where nothing is to be said. */
export function clientCertLine(scope: ProxyScope, peer: MeshPeer | undefined): string {
  const own = scope.mesh?.current;
  if (peer === undefined || own === undefined || !scope.forwardsClientCert) return '';
  // SPIFFE ids have none of the characters that would need quotes.
  const element = `By=${own.id};Hash=${peer.hash};Subject="";URI=${peer.id}`;
  return `x-forwarded-client-cert: ${element}\r\n`;
}

/** Takes out what came, all of it. */
export function dropClientCert(head: MessageHead): void {
  let index = head.indexOf(FieldId.XForwardedClientCert);
  while (index >= 0) {
    head.dropped[index] = Dropped.Never;
    index = head.indexOf(FieldId.XForwardedClientCert, index + 1);
  }
}
