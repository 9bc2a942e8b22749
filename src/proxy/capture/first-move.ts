/**
 * What to do with a captured connection before it has said a word: dial, wait for it to speak, or relay.
 *
 * By what is declared, else by the port's number, else by what the connections before it spoke. A wrong
 * guess costs a silence or one connection, never a byte: what is spoken decides.
 */

import { hasKnownProtocol } from '../../model/known-ports.ts';
import { Detected, DetectedBy, detectedWords } from '../../telemetry/record/detection.ts';
import type { ProxyScope } from '../scope/proxy-scope.ts';
import { expectedOf, type VerdictEntry } from '../scope/verdict-memory.ts';
import { printAddress } from '../socket/print-address.ts';
import type { CaptureOwner } from './capture-owner.ts';
import { needsName } from './connection-guard.ts';

export const FirstMove = {
  /** Nothing is dialled until the downstream speaks, or is silent for a while. */
  Wait: 0,
  /** The original destination is dialled at once; whoever speaks first decides. */
  Dial: 1,
  /** Dialled, and relayed without a look. */
  Relay: 2,
} as const;

/** Where it is said that HTTP/1.1 is spoken. */
export const HttpExpected = {
  Nowhere: 0,
  /** For the port, by names of services: nothing is known of the address. */
  AtPort: 1,
  AtAddress: 2,
} as const;

/** @param http `HttpExpected` */
export function firstMoveOf(http: number, port: number, memory: VerdictEntry): number {
  if (http === HttpExpected.Nowhere && hasKnownProtocol(port)) return FirstMove.Relay;
  const expected = expectedOf(memory);
  if (http === HttpExpected.AtAddress) {
    return expected === Detected.ServerFirst ? FirstMove.Dial : FirstMove.Wait;
  }
  return expected === Detected.Http1 ? FirstMove.Wait : FirstMove.Dial;
}

/** As `firstMoveOf`, where more may be known than a port. */
export function openingMoveOf(owner: CaptureOwner, memory: VerdictEntry): number {
  const { declared, destination } = owner;
  if (declared === 'tcp' || declared === 'http2') return FirstMove.Relay;
  if (needsName(owner)) {
    return expectedOf(memory) === Detected.ServerFirst ? FirstMove.Dial : FirstMove.Wait;
  }
  if (declared === 'tls') return FirstMove.Dial;
  return firstMoveOf(owner.httpExpected, destination.port, memory);
}

/** How the verdict is known (`DetectedBy`). */
export function howDetected(firstMove: number, http: number, detected: number): number {
  if (firstMove === FirstMove.Relay) return DetectedBy.Declared;
  if (http !== HttpExpected.Nowhere && detected === Detected.Http1) return DetectedBy.Declared;
  const isDeclared = http === HttpExpected.AtAddress;
  const remembered = isDeclared ? Detected.ServerFirst : Detected.Http1;
  const isUnusual = firstMove === (isDeclared ? FirstMove.Dial : FirstMove.Wait);
  return isUnusual && detected === remembered ? DetectedBy.Remembered : DetectedBy.Sniffed;
}

/** HTTP/2 is HTTP, though relayed; one that never spoke says nothing. */
const httpEnough: ReadonlySet<number> = new Set([Detected.Http1, Detected.Http2, Detected.Silent]);
const tlsEnough: ReadonlySet<number> = new Set([Detected.Tls, Detected.Silent]);

/** Counts, and warns of, a connection that is not what is declared; for which it is taken all the same. */
export function warnOfWrong(scope: ProxyScope, owner: CaptureOwner, detected: number): void {
  const { declared, known, destination } = owner;
  // By names alone nothing is declared about an address.
  const isTls = declared === 'tls' && known?.isAnyAddress === false;
  if (!isTls && declared !== 'http') return;
  if ((isTls ? tlsEnough : httpEnough).has(detected)) return;
  scope.countsOf(owner.direction).wrongProtocol++;
  const { address, port } = destination;
  const who = isTls ? known.destination.service : `listener ${owner.plan.listener.name}`;
  scope.wrongProtocols.warn(
    `${owner.direction} ${printAddress(address, port)} is no ${isTls ? 'TLS' : 'HTTP'} ` +
      `(${detectedWords[detected]}), which port ${port} is declared to be (${who}): ` +
      `${detected === Detected.Http1 ? 'it is read all the same' : 'it is relayed unread'}; ` +
      `if that is right, declare the port as ${detected === Detected.Http1 ? 'HTTP' : 'TCP'}`,
  );
}
