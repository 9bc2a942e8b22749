/**
 * The policies' word on a captured connection that is not read: before it is dialled, and at the end of
 * waiting, when it is known that it is none of HTTP.
 *
 * Until then nobody knows whether its requests will be asked about one by one, so nothing is counted.
 */

import type { Socket } from 'node:net';
import { type Failure, failure } from '../../model/failure.ts';
import type { Caller } from '../../policy/caller.ts';
import type { ExchangeRecord } from '../../telemetry/record/exchange-record.ts';
import { makeCaller } from '../exchange/guard.ts';
import type { ProxyScope } from '../scope/proxy-scope.ts';
import { plainAddress } from '../socket/print-address.ts';
import type { CaptureOwner } from './capture-owner.ts';

const denials: ReadonlySet<Failure | undefined> = new Set([
  failure['egress-denied'],
  failure['no-identity'],
  failure.denied,
  failure['policy-unsupported'],
]);

/** Nobody may have what it asks for: that says nothing of what it speaks. */
export function isDenial(what: Failure | undefined): boolean {
  return denials.has(what);
}

/** Whether the name in its ClientHello decides about it. */
export function needsName({ known, plan }: CaptureOwner): boolean {
  return known?.rules.needsName === true || plan.guard?.authorizer.looksAtServerNames === true;
}

/** Why it may not be dialled; undefined: policies let it go on. */
export function judgeConnection(
  owner: CaptureOwner,
  socket: Socket,
  serverName: string,
): Failure | undefined {
  const { guard } = owner.plan;
  if (guard === undefined || owner.isRefusing) return undefined;
  return guard.judge(callerOf(owner, socket, serverName));
}

/** It is relayed unread, or cut for what `judgeConnection` said: counts, record and log hear of it. Returns why it is cut. */
export function noteConnection(
  scope: ProxyScope,
  owner: CaptureOwner,
  socket: Socket,
  serverName: string,
  record: ExchangeRecord,
): string {
  const { guard } = owner.plan;
  if (guard === undefined || owner.isRefusing) return '';
  const denied = guard.onConnection(callerOf(owner, socket, serverName), record);
  if (denied === undefined) return '';
  scope.denials.warn(`inbound ${owner.port}`, `inbound ${denied.cause}: ${guard.detail}`);
  return guard.detail;
}

function callerOf(owner: CaptureOwner, socket: Socket, serverName: string): Caller {
  const address = plainAddress(socket.remoteAddress ?? '');
  return makeCaller(owner, socket, owner.meshPeer, address, serverName);
}
