/**
 * What a connection that is relayed unread tells telemetry: one record at its end, which becomes a
 * span and an access log line; its verdict and its bytes are counted.
 *
 * A captured connection is a root of its own; a tunnel is a child of the exchange that asked for it.
 * Before its end a connection is seen in the metrics and on the admin page only.
 */

import type { Socket } from 'node:net';
import type { Milliseconds } from '../../base/clock.ts';
import type { Failure } from '../../model/failure.ts';
import type { Direction } from '../../model/routing-table.ts';
import { TraceContext, TraceFlag } from '../../telemetry/context/trace-context.ts';
import type { ZoneBytes } from '../../telemetry/metrics/zone-bytes.ts';
import { detectionPlace } from '../../telemetry/record/detection.ts';
import { ExchangeRecord, RecordFlag, RecordKind } from '../../telemetry/record/exchange-record.ts';
import { addDetail, addIdentities } from '../../telemetry/record/record-extra.ts';
import { meshPeerOf } from '../mesh/mesh-peer.ts';
import type { ProxyScope } from '../scope/proxy-scope.ts';
import type { OriginalDestination } from '../socket/original-destination.ts';
import { plainAddress, printAddress } from '../socket/print-address.ts';
import type { TlsProblem } from '../tls/tls-problem.ts';
import { tlsFactsOf } from '../tls/tls-server.ts';
import type { UpstreamConnection } from '../upstream/upstream-connection.ts';
import type { ConnectionLease } from './connection-lease.ts';

/** Characters of the protocols that a ClientHello offers that are kept. */
const ALPN_TEXT_MAX = 256;

export class ConnectionReport {
  readonly record: ExchangeRecord = new ExchangeRecord();
  readonly direction: Direction;
  isConnected = false;
  /** What a failure would be about, for whoever reads the trace or the log; '' for nothing. */
  detail = '';
  #problem: TlsProblem | undefined;
  readonly #scope: ProxyScope;
  readonly #startMs: Milliseconds;
  #isBegun = false;
  #dialMs: Milliseconds = -0.5;
  /** Of the endpoint; that of a tunnel is not known here. */
  #zone: ZoneBytes | undefined;

  /** `startMs`: when it began. */
  constructor(scope: ProxyScope, direction: Direction, startMs: Milliseconds) {
    this.#scope = scope;
    this.direction = direction;
    this.#startMs = startMs;
    const { record } = this;
    record.kind = RecordKind.Connection;
    record.flags = direction === 'inbound' ? RecordFlag.Inbound : 0;
    record.startMs = this.#startMs;
    record.connectionId = scope.nextConnectionId();
  }

  /** It makes no span. */
  mute(): void {
    this.record.flags |= RecordFlag.Muted;
  }

  /** Whose connection it is. `destination`: where it was going; undefined for a tunnel. */
  from(downstream: Socket, destination?: OriginalDestination): void {
    const { record } = this;
    if (destination !== undefined) {
      record.authority = printAddress(destination.address, destination.port);
    }
    record.peerAddress = plainAddress(downstream.remoteAddress ?? '');
    record.peerPort = downstream.remotePort ?? 0;
    const tls = tlsFactsOf(downstream);
    if (tls === undefined) return;
    record.flags |= RecordFlag.Tls;
    record.tlsVersion = tls.version;
    record.tlsUs = tls.handshakeUs;
    record.principalId = meshPeerOf(downstream)?.nameId ?? 0;
  }

  /**
   * Begins the span: a root, or the child of `parent`, whose authority, route and endpoint are then
   * this connection's too. The parent's record is free again after the call. Once; a root may leave it
   * to `finish`.
   */
  begin(parent?: ExchangeRecord): void {
    const { record } = this;
    this.#isBegun = true;
    context.clear();
    if (parent !== undefined) {
      copyRouting(parent, record);
      setContext(parent);
      record.flags |= parent.flags & RecordFlag.Muted;
    }
    this.#scope.telemetry.beginSpan(record, context);
    // A child is chosen as its parent was.
    if (parent !== undefined) record.flags |= parent.flags & RecordFlag.OwnThreshold;
  }

  /** What is spoken (`Detected`) and how that is known (`DetectedBy`); counted. Once. */
  detected(protocol: number, by: number): void {
    this.upgradedTo(protocol);
    this.record.join = by;
    this.#scope.countsOf(this.direction).detections[detectionPlace(protocol, by)]!++;
  }

  /** What a tunnel carries (`Detected`): named by the exchange, not detected, not counted. */
  upgradedTo(protocol: number): void {
    this.record.method = protocol;
  }

  /** That a ClientHello asked for; '' = none. */
  get serverName(): string {
    return this.record.target;
  }

  /** Of a TLS ClientHello: the name it asks for ('' = none) and the protocols that it offers. */
  hello(serverName: string, alpn: readonly string[]): void {
    this.record.target = serverName;
    // It stays as long as the connection does.
    this.record.userAgent = alpn.join(',').slice(0, ALPN_TEXT_MAX);
  }

  /** An endpoint has been dialled for it at `atMs`. */
  dialled(atMs: Milliseconds, { choice, pool }: ConnectionLease): void {
    const { record } = this;
    const { rule, backend } = choice;
    if (rule !== undefined) {
      record.routeId = rule.routeId;
      record.ruleIndex = rule.rule.index;
    }
    this.#dialMs = atMs;
    this.#zone = pool!.bytes;
    record.clusterId = backend.clusterId;
    record.subsetId = backend.subsetId;
    record.weight = backend.weight;
    record.endpointId = pool!.endpointId;
  }

  /** The endpoint that was dialled is gone, or was never there. */
  lost(upstream: UpstreamConnection): void {
    const { problemText, where, handshake } = upstream;
    this.detail = problemText === '' ? where : `${problemText}, ${where}`;
    this.#problem = handshake?.problem;
  }

  /** The endpoint is there, and if its connection is secure it is who it has to be. */
  connected({ handshake, pool }: UpstreamConnection): void {
    this.isConnected = true;
    this.detail = '';
    this.#problem = undefined;
    const { record } = this;
    if (this.#dialMs >= 0) record.connectUs = this.#since(this.#dialMs);
    if (handshake === undefined) return;
    record.connectUs = Math.max(0, record.connectUs - handshake.tlsUs);
    record.tlsUs = handshake.tlsUs;
    record.flags |= RecordFlag.Tls;
    record.tlsVersion = handshake.version;
    record.principalId = pool.principalId;
  }

  /** The first byte of the upstream is there. */
  responseBegun(): void {
    const { record } = this;
    if (record.firstByteUs < 0) record.firstByteUs = this.#since(this.#startMs);
  }

  /** The connection has ended; once. `what`: why, unless it ended well. */
  finish(what: Failure | undefined): void {
    const { record } = this;
    if (!this.#isBegun) this.begin();
    const counts = this.#scope.countsOf(this.direction);
    counts.countOpaque(record.principalId, record.requestBytes, record.responseBytes);
    const { zones } = this.#scope.telemetry.metrics;
    const zone = this.direction === 'inbound' ? zones.inbound : (this.#zone ?? zones.outbound(''));
    zone.add(record.requestBytes, record.responseBytes);
    if (what !== undefined) {
      record.causeCode = what.code;
      counts.causes[what.code]!++;
      this.#say();
    }
    record.totalUs = this.#since(this.#startMs);
    this.#scope.telemetry.finish(record);
  }

  /** What the failure was about. */
  #say(): void {
    const { record } = this;
    record.extra = addDetail(record.extra, this.detail);
    const stranger = this.#problem?.stranger;
    if (stranger !== undefined) {
      record.extra = addIdentities(record.extra, stranger.expected, stranger.proved);
    }
  }

  #since(from: Milliseconds): number {
    return Math.round((this.#scope.clock.now() - from) * 1000);
  }
}

/** Of the span that is being begun: `beginSpan` keeps nothing of it. */
const context = new TraceContext();

/** The exchange's span as the one that the connection's continues. */
function setContext(parent: ExchangeRecord): void {
  const { flags } = parent;
  context.traceId0 = parent.traceId0;
  context.traceId1 = parent.traceId1;
  context.traceId2 = parent.traceId2;
  context.traceId3 = parent.traceId3;
  context.parentId0 = parent.spanId0;
  context.parentId1 = parent.spanId1;
  context.present =
    (parent.traceId0 | parent.traceId1 | parent.traceId2 | parent.traceId3) !== 0 &&
    (parent.spanId0 | parent.spanId1) !== 0;
  context.flags =
    ((flags & RecordFlag.Sampled) === 0 ? 0 : TraceFlag.Sampled) |
    ((flags & RecordFlag.RandomId) === 0 ? 0 : TraceFlag.Random);
}

function copyRouting(from: ExchangeRecord, to: ExchangeRecord): void {
  to.authority = from.authority;
  to.routeId = from.routeId;
  to.ruleIndex = from.ruleIndex;
  to.clusterId = from.clusterId;
  to.subsetId = from.subsetId;
  to.weight = from.weight;
  to.endpointId = from.endpointId;
  to.generation = from.generation;
  to.destinationId = from.destinationId;
  to.principalId = from.principalId;
}
