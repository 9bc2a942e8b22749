/**
 * `x-forwarded-client-cert`: what an application hears of who called it (Envoy's header).
 *
 *   Hash=..;Subject="CN=phone";DNS=phone.example.com , By=spiffe://../web;Hash=..;Subject="";URI=spiffe://../ingress
 *   └─ said by that peer: what a gateway was shown ─┘ └─ proved by our own handshake, always the last ────────────┘
 *
 * What comes is taken out, whoever sent it: an application that trusts the header must be able to. It comes
 * back as the first part where a peer of the mesh has sent it that takes out what its own callers say: a
 * gateway does, and so does a sidecar with what its application sends by mutual TLS (forwarded-head.ts).
 * Bytes that a sidecar relays unread are its application's, and nobody is told by them.
 */

import type { TrafficLimits } from '../../model/limits.ts';
import { countClientCerts } from '../../wire/client-cert-field.ts';
import { FieldId } from '../../wire/http1/field-id.ts';
import { Dropped, type MessageHead } from '../../wire/http1/message-head.ts';
import type { MeshPeer } from '../mesh/mesh-peer.ts';
import type { ProxyScope } from '../scope/proxy-scope.ts';

const NAME = 'x-forwarded-client-cert';

/** What is proved of a connection's peer, an element; '' where nothing is to be said. */
export function clientCertOf(scope: ProxyScope, peer: MeshPeer | undefined): string {
  const own = scope.mesh?.current;
  if (peer === undefined || own === undefined || scope.clientCertMode === 'off') return '';
  // SPIFFE ids have none of the characters that would need quotes.
  return `By=${own.id};Hash=${peer.hash};Subject="";URI=${peer.id}`;
}

/** The line of `clientCertOf`'s element alone, made once a connection: most requests carry no other. */
export function clientCertLineOf(proved: string): string {
  return proved === '' ? '' : `${NAME}: ${proved}\r\n`;
}

/** What a downstream connection says of its peer. */
export interface ClientCertTerms {
  /** See `clientCertOf`, and `clientCertLineOf`. */
  readonly clientCert: string;
  readonly clientCertLine: string;
  /** The peer may say who was before it. */
  readonly passesClientCerts: boolean;
}

/**
 * Marks what came, so that none of it goes on, and returns the line that does, '' for none. Nothing is passed
 * on of what is malformed or beyond the limits.
 */
export function settleClientCert(
  head: MessageHead,
  { clientCert: proved, clientCertLine, passesClientCerts }: ClientCertTerms,
  limits: TrafficLimits,
): string {
  const first = head.indexOf(FieldId.XForwardedClientCert);
  const said = first >= 0 && passesClientCerts && proved !== '' ? saidIn(head, first, limits) : '';
  if (first >= 0) dropClientCert(head);
  return said === '' ? clientCertLine : `${NAME}: ${said},${proved}\r\n`;
}

/** Takes out what came, all of it. */
export function dropClientCert(head: MessageHead): void {
  let index = head.indexOf(FieldId.XForwardedClientCert);
  while (index >= 0) {
    head.dropped[index] = Dropped.Never;
    index = head.indexOf(FieldId.XForwardedClientCert, index + 1);
  }
}

/** Of all fields, from the one at `first` on; '' where it cannot be passed on. */
function saidIn(head: MessageHead, first: number, limits: TrafficLimits): string {
  let said = '';
  for (let at = first; at >= 0; at = head.indexOf(FieldId.XForwardedClientCert, at + 1)) {
    if (head.dropped[at] !== Dropped.Kept) continue;
    said = said === '' ? head.value(at) : `${said},${head.value(at)}`;
    if (said.length > limits.clientCertBytesMax) return '';
  }
  const elements = countClientCerts(said);
  return elements > 0 && elements <= limits.clientCertElementsMax ? said : '';
}
