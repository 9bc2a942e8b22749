/**
 * What a connection that was relayed unread tells telemetry: one record, an access log line.
 *
 * It is never sampled, so it becomes no span: a database connection of days is no step of a trace.
 */

import type { Socket } from 'node:net';
import type { Milliseconds } from '../base/clock.ts';
import type { Failure } from '../model/failure.ts';
import type { Direction } from '../model/routing-table.ts';
import { ExchangeRecord, RecordFlag, RecordKind } from '../telemetry/exchange-record.ts';
import type { OriginalDestination } from './original-destination.ts';
import { plainAddress, printAddress } from './print-address.ts';
import type { ProxyScope } from './proxy-scope.ts';

export class ConnectionReport {
  readonly record: ExchangeRecord = new ExchangeRecord();
  isConnected = false;
  readonly #scope: ProxyScope;
  readonly #startMs: Milliseconds;
  #dialMs: Milliseconds = -0.5;

  constructor(
    scope: ProxyScope,
    direction: Direction,
    destination: OriginalDestination,
    downstream: Socket,
  ) {
    this.#scope = scope;
    this.#startMs = scope.clock.now();
    const { record } = this;
    record.kind = RecordKind.Connection;
    record.flags = direction === 'inbound' ? RecordFlag.Inbound : 0;
    record.startMs = this.#startMs;
    record.connectionId = scope.nextConnectionId();
    record.authority = printAddress(destination.address, destination.port);
    record.peerAddress = plainAddress(downstream.remoteAddress ?? '');
    record.peerPort = downstream.remotePort ?? 0;
  }

  dialling(): void {
    this.#dialMs = this.#scope.clock.now();
  }

  connected(): void {
    this.isConnected = true;
    this.record.connectUs = this.#since(this.#dialMs);
  }

  /** The first byte of the upstream is there. */
  responseBegun(): void {
    const { record } = this;
    if (record.firstByteUs < 0) record.firstByteUs = this.#since(this.#startMs);
  }

  finish(what: Failure | undefined): void {
    const { record } = this;
    if (what !== undefined) record.causeCode = what.code;
    record.totalUs = this.#since(this.#startMs);
    this.#scope.telemetry.finish(record);
  }

  #since(from: Milliseconds): number {
    return Math.round((this.#scope.clock.now() - from) * 1000);
  }
}
