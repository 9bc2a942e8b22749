/**
 * What a complete head means: body framing, Host, Connection, Expect, Upgrade.
 *
 * Works on the header list only, never on bytes, and everything the proxy and the printer later ask
 * is settled here once. Returns the refusal, or undefined when the message may go on. In doubt a
 * message is refused: two readings of one head are how requests are smuggled (RFC 9112 section 11.2).
 */

import { hostnameEndOf, normalAuthority } from './authority.ts';
import { BodyKind } from './body-kind.ts';
import { CONNECTION_LONG, ConnectionOption, readConnection } from './connection-options.ts';
import { codingFault, isCanonicalLength, lengthOf } from './content-length.ts';
import { FieldId } from './field-id.ts';
import { Dropped, equalsLower, type MessageHead } from './message-head.ts';
import { Method } from './method.ts';
import { Reason, type Refusal, type Role, refuse } from './refusal.ts';
import { upgradeTokens } from './upgrade-tokens.ts';

/**
 * Settles a request head. `connectionBytesMax` limits all values of Connection together; `isLenient`:
 * an odd Host is noted as the head's fault.
 */
export function settleRequest(
  head: MessageHead,
  connectionBytesMax: number,
  isLenient: boolean,
): Refusal | undefined {
  let coding = -1;
  let connection = -1;
  let expect = -1;
  let upgrade = -1;
  let length = -1;
  let host = -1;
  const { ids, count } = head;
  for (let index = 0; index < count; index++) {
    switch (ids[index]) {
      case FieldId.Other:
        break;
      case FieldId.Host:
        if (host >= 0) return refuseAt(head, Reason.HostTwice, index);
        host = index;
        break;
      case FieldId.ContentLength:
        if (length >= 0) return refuseAt(head, Reason.LengthTwice, index);
        length = index;
        break;
      case FieldId.TransferEncoding:
        if (coding >= 0) return refuseAt(head, Reason.CodingInvalid, index);
        coding = index;
        break;
      case FieldId.Connection:
        if (connection < 0) connection = index;
        break;
      case FieldId.Expect:
        if (expect < 0) expect = index;
        else if (head.minorVersion === 1) return refuseAt(head, Reason.Expectation, index);
        break;
      case FieldId.Upgrade:
        if (upgrade < 0) upgrade = index;
        break;
      case FieldId.Te:
        if (!isTrailers(head, index)) head.dropped[index] = Dropped.Never;
        break;
    }
  }
  const framingFault = settleFraming(head, length, coding, false);
  if (framingFault !== undefined) return framingFault;
  const hostFault = settleHost(head, host, isLenient);
  if (hostFault !== undefined) return hostFault;
  const options = connection < 0 ? 0 : readConnection(head, connection, connectionBytesMax);
  if (options === CONNECTION_LONG) return refuseAt(head, Reason.ConnectionLong, connection);
  settlePersistence(head, options);
  if (expect >= 0) {
    const expectFault = settleExpect(head, expect);
    if (expectFault !== undefined) return expectFault;
  }
  if (head.method === Method.Connect || head.method === Method.Trace) {
    return settleRefusedMethod(head, isLenient);
  }
  const isUpgrade = upgrade >= 0 && (options & ConnectionOption.Upgrade) !== 0;
  return isUpgrade && head.minorVersion === 1 ? settleUpgrade(head, upgrade) : undefined;
}

/**
 * Settles the head of a response to a request with `requestMethod`. `isLenient`: it goes on as it was
 * sent; `allowsSwitch`: the request offered to switch protocols. What a lenient reader is told unasked is
 * the last word on its connection.
 */
export function settleResponse(
  head: MessageHead,
  requestMethod: number,
  connectionBytesMax: number,
  isLenient: boolean,
  allowsSwitch: boolean,
): Refusal | undefined {
  let coding = -1;
  let connection = -1;
  let length = -1;
  for (let index = 0; index < head.count; index++) {
    const id = head.ids[index];
    if (id === FieldId.ContentLength) {
      if (length >= 0) return refuseAt(head, Reason.LengthTwice, index);
      length = index;
    } else if (id === FieldId.TransferEncoding) {
      if (coding >= 0) return refuseAt(head, Reason.CodingInvalid, index);
      coding = index;
    } else if (id === FieldId.Connection && connection < 0) {
      connection = index;
    }
  }
  const framingFault = settleFraming(head, length, coding, isLenient);
  if (framingFault !== undefined) return framingFault;
  const options = connection < 0 ? 0 : readConnection(head, connection, connectionBytesMax);
  if (options === CONNECTION_LONG) return refuseAt(head, Reason.ConnectionLong, connection);
  settlePersistence(head, options);
  const status = head.status;
  if (status === 101) {
    if (allowsSwitch) passUpgrade(head);
    else if (isLenient) head.persistent = false;
    else return refuse(Reason.SwitchUnasked, 'response', 0, '');
  }
  if (status < 200 || status === 204) {
    if (coding >= 0) return refuseAt(head, Reason.LengthUnexpected, coding);
    if (head.contentLength > 0) return refuseAt(head, Reason.LengthUnexpected, length);
    // RFC 9110 section 8.6: a server must not send it here; many send `0`.
    if (length >= 0) head.dropped[length] = Dropped.Normalised;
    head.bodyKind = BodyKind.None;
  } else if (status === 304 || requestMethod === Method.Head || isTunnelOf(requestMethod, status)) {
    head.bodyKind = BodyKind.None;
  } else if (head.bodyKind === BodyKind.UntilClose || (length < 0 && coding < 0)) {
    head.bodyKind = BodyKind.UntilClose;
    head.persistent = false;
  }
  return undefined;
}

/**
 * RFC 9112 section 6.3, without its tolerances but one: an HTTP/1.0 response with a coding that goes on
 * as it was sent ends with its connection, whatever its reader makes of the coding.
 */
function settleFraming(
  head: MessageHead,
  length: number,
  coding: number,
  isLenient: boolean,
): Refusal | undefined {
  if (coding >= 0) {
    if (length >= 0) return refuseAt(head, Reason.LengthAndCoding, Math.max(length, coding));
    if (head.minorVersion === 0) {
      if (!isLenient) return refuseAt(head, Reason.CodingOnHttp10, coding);
      head.bodyKind = BodyKind.UntilClose;
      return undefined;
    }
    const fault = codingFault(head, coding);
    if (fault !== Reason.None) return refuseAt(head, fault, coding);
    head.bodyKind = BodyKind.Chunked;
  } else if (length >= 0) {
    const declared = lengthOf(head, length);
    if (declared < 0) return refuseAt(head, -declared, length);
    head.bodyKind = declared === 0 ? BodyKind.None : BodyKind.Length;
    head.contentLength = declared;
    head.lengthIndex = length;
    head.lengthIsCanonical = isCanonicalLength(head, length);
  }
  return undefined;
}

/**
 * HTTP/1.1 has exactly one valid Host (RFC 9112 section 3.2). HTTP/1.0 may have none, and then the
 * printer's caller adds one. An absolute-form target must name the same authority.
 */
function settleHost(head: MessageHead, host: number, isLenient: boolean): Refusal | undefined {
  if (host < 0) {
    const isNeeded = head.minorVersion === 1 || head.targetAuthority !== '';
    return isNeeded ? refuse(Reason.HostMissing, 'request', head.text.length, '') : undefined;
  }
  const end = hostnameEndOf(head.text, head.valueStart[host]!, head.valueEnd[host]!);
  head.hostIndex = host;
  // No name: nothing is decided by what could be read in two ways.
  head.hostnameEnd = end < 0 ? head.valueStart[host]! : end;
  if (end < 0) return faultAt(head, Reason.HostInvalid, host, isLenient);
  if (head.targetAuthority === '') return undefined;
  const usualPort = head.targetScheme === 'https' ? 443 : 80;
  return normalAuthority(head.targetAuthority, usualPort) ===
    normalAuthority(head.value(host), usualPort)
    ? undefined
    : faultAt(head, Reason.TargetAuthority, host, isLenient);
}

/** Refuses, or notes why the head may go on only as it was sent. */
function faultAt(
  head: MessageHead,
  reason: number,
  index: number,
  isLenient: boolean,
): Refusal | undefined {
  if (!isLenient) return refuseAt(head, reason, index);
  head.noteFault(reason, head.nameStart[index]!, head.name(index));
  return undefined;
}

/** RFC 9112 section 9.3. */
function settlePersistence(head: MessageHead, options: number): void {
  const isOpen = head.minorVersion === 1 || (options & ConnectionOption.KeepAlive) !== 0;
  head.persistent = isOpen && (options & ConnectionOption.Close) === 0;
}

const TRAILERS = 'trailers';

/** The only TE that asks for no coding of the transfer, which we could not read. */
function isTrailers(head: MessageHead, index: number): boolean {
  const start = head.valueStart[index]!;
  const length = head.valueEnd[index]! - start;
  return length === TRAILERS.length && equalsLower(head.text, start, TRAILERS);
}

const CONTINUE = '100-continue';

/** An HTTP/1.0 expectation is ignored, and not passed on: its sender could not read a 100. */
function settleExpect(head: MessageHead, index: number): Refusal | undefined {
  if (head.minorVersion === 0) {
    for (let at = index; at >= 0; at = head.indexOf(FieldId.Expect, at + 1)) {
      head.dropped[at] = Dropped.Normalised;
    }
    return undefined;
  }
  const start = head.valueStart[index]!;
  const isContinue =
    head.valueEnd[index]! - start === CONTINUE.length && equalsLower(head.text, start, CONTINUE);
  if (!isContinue) return refuseAt(head, Reason.Expectation, index);
  head.expectsContinue = head.bodyKind !== BodyKind.None;
  return undefined;
}

/**
 * HTTP/2 by upgrade goes on only where the whole request goes on as it was sent: nobody needs it
 * (RFC 9113 section 3.1 has dropped it). A body could be mistaken for a tunnel's first bytes: no
 * WebSocket has one, and of any other request the offer stays behind, as a server may ignore it.
 */
function settleUpgrade(head: MessageHead, index: number): Refusal | undefined {
  const protocols = upgradeTokens(head);
  const isWebSocket = protocols.includes('websocket');
  if (head.bodyKind !== BodyKind.None) {
    if (isWebSocket) return refuseAt(head, Reason.UpgradeBody, index);
    head.drop('upgrade');
    head.drop('http2-settings');
    head.drop('connection');
    return undefined;
  }
  if (isWebSocket && head.indexOf(FieldId.SecWebSocketKey) < 0) {
    return refuseAt(head, Reason.WebSocketKey, index);
  }
  head.hasUpgrade = protocols.length > 0;
  if (!protocols.includes('h2c')) passUpgrade(head);
  return undefined;
}

/** Upgrade is passed on to whoever gets the message. */
function passUpgrade(head: MessageHead): void {
  let index = head.indexOf(FieldId.Upgrade);
  for (; index >= 0; index = head.indexOf(FieldId.Upgrade, index + 1)) {
    if (head.dropped[index] === Dropped.Normalised) head.dropped[index] = Dropped.Kept;
  }
}

/** A lenient reader takes CONNECT: whoever is asked makes a tunnel of it, or does not. */
function settleRefusedMethod(head: MessageHead, isLenient: boolean): Refusal | undefined {
  const reason = head.bodyKind === BodyKind.None ? Reason.MethodRefused : Reason.MethodBody;
  const isTaken = isLenient && reason === Reason.MethodRefused && head.method === Method.Connect;
  if (!isTaken) return refuse(reason, 'request', 0, '');
  head.noteFault(reason, 0, '');
  return undefined;
}

/** Whether a response makes a tunnel of the connection: no body follows (RFC 9110 section 9.3.6). */
export function isTunnelOf(requestMethod: number, status: number): boolean {
  return requestMethod === Method.Connect && status >= 200 && status < 300;
}

function refuseAt(head: MessageHead, reason: number, index: number): Refusal {
  const role: Role = head.status === 0 ? 'request' : 'response';
  return refuse(reason, role, head.nameStart[index]!, head.name(index));
}
