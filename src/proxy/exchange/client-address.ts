/**
 * Who the original client of a request is, as far as that can be believed, and what goes on of it.
 *
 *   X-Forwarded-For: 6.6.6.6, 192.0.2.7, 10.0.0.9      peer 10.0.0.8
 *                    └ forged  └── 2 trusted hops ──┘  └ the second of them
 *
 * Each proxy adds whom it was called by, so with `hops` trusted proxies before us the last `hops` entries
 * and our peer are true and the first of those is the client; further to the left anybody can have written
 * anything. Without trusted hops the peer is the client (RFC 7239 section 8.1 on trust).
 */

import { isIP } from 'node:net';
import { FieldId } from '../../wire/http1/field-id.ts';
import { Dropped, type MessageHead } from '../../wire/http1/message-head.ts';

/** Of a connection's other end. */
export interface ClientPeer {
  /** As `node:net` prints it; of the PROXY header where there is one. */
  readonly peerAddress: string;
  /** TLS ends here. */
  readonly isSecure: boolean;
}

/** @param hops trusted proxies between the client and us, from 0 */
export function clientAddressOf(head: MessageHead, peer: ClientPeer, hops: number): string {
  if (hops === 0) return peer.peerAddress;
  const entries = forwardedFor(head);
  return addressIn(entries[entries.length - hops] ?? '') ?? peer.peerAddress;
}

/** How the client has called: what the trusted proxy before us says, else what the peer did to us. */
export function isHttps(head: MessageHead, peer: ClientPeer, hops: number): boolean {
  const said = hops === 0 ? '' : protocolSaid(head);
  return said === '' ? peer.isSecure : said === 'https';
}

/**
 * Marks what a caller from outside says of where it comes from, so that none of it goes on, and returns the
 * lines that do: what is true of it. `certificate`: value of x-forwarded-client-cert, '' for none.
 */
export function forwardClient(
  head: MessageHead,
  peer: ClientPeer,
  hops: number,
  certificate: string,
): string {
  const entries = hops === 0 ? [] : forwardedFor(head).slice(-hops);
  const protocol = isHttps(head, peer, hops) ? 'https' : 'http';
  const { ids, count, dropped } = head;
  for (let index = 0; index < count; index++) {
    if (isAboutClient(ids[index]!, hops)) dropped[index] = Dropped.Never;
  }
  const line = entries.length === 0 ? '' : `${entries.join(', ')}, `;
  const shown = certificate === '' ? '' : `x-forwarded-client-cert: ${certificate}\r\n`;
  return (
    `x-forwarded-for: ${line}${peer.peerAddress}\r\n` + `x-forwarded-proto: ${protocol}\r\n${shown}`
  );
}

/** Host and port of what was asked for may come from a proxy that is trusted, and from nobody else. */
function isAboutClient(id: number, hops: number): boolean {
  switch (id) {
    case FieldId.XForwardedFor:
    case FieldId.XForwardedProto:
    case FieldId.XForwardedClientCert:
    case FieldId.Forwarded:
    case FieldId.XRealIp:
      return true;
    case FieldId.XForwardedHost:
    case FieldId.XForwardedPort:
      return hops === 0;
    default:
      return false;
  }
}

/** All entries, in their order; of several fields as if they were one (RFC 9110 section 5.3). */
function forwardedFor(head: MessageHead): string[] {
  const entries: string[] = [];
  for (let at = head.indexOf(FieldId.XForwardedFor); at !== -1; ) {
    entries.push(...head.value(at).split(',').map(trimmed));
    at = head.indexOf(FieldId.XForwardedFor, at + 1);
  }
  return entries.filter((entry) => entry !== '');
}

/** What the trusted proxy before us was called by; '' when it says nothing that can be. */
function protocolSaid(head: MessageHead): string {
  const at = head.indexOf(FieldId.XForwardedProto);
  const said = at === -1 ? '' : head.value(at).toLowerCase();
  return said === 'https' || said === 'http' ? said : '';
}

function trimmed(text: string): string {
  return text.trim();
}

/** Of `192.0.2.7`, `192.0.2.7:4711`, `[2001:db8::7]:4711`; undefined for anything else. */
function addressIn(entry: string): string | undefined {
  if (isIP(entry) !== 0) return entry;
  const [, inBrackets, plain] = /^(?:\[([\da-f:.]+)\]|([\d.]+))(?::\d+)?$/i.exec(entry) ?? [];
  const address = inBrackets ?? plain ?? '';
  return isIP(address) === 0 ? undefined : address;
}
