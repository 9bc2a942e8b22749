/**
 * Records for tests: every field set, and fields that are drawn from a seed.
 */

import { type Random, randomBelow } from '../../src/base/random.ts';
import {
  putTraceparent,
  TRACEPARENT_LINE_BYTES,
} from '../../src/telemetry/context/trace-context.ts';
import { ExchangeRecord, RecordKind } from '../../src/telemetry/record/exchange-record.ts';

/** A record with the given fields over those of a plain outbound GET that went well. */
export function outbound(fields: Partial<ExchangeRecord> = {}): ExchangeRecord {
  return Object.assign(new ExchangeRecord(), plain, { kind: RecordKind.Client }, fields);
}

/** The traceparent line of a record as text. */
export function printTraceparent(record: ExchangeRecord): string {
  const out = Buffer.alloc(TRACEPARENT_LINE_BYTES + 1);
  return out.toString('latin1', 1, putTraceparent(record, out, 1));
}

/** The same for an inbound one. */
export function inbound(fields: Partial<ExchangeRecord> = {}): ExchangeRecord {
  return Object.assign(new ExchangeRecord(), plain, { kind: RecordKind.Server }, fields);
}

const plain: Partial<ExchangeRecord> = {
  traceId0: 0x0af76519,
  traceId1: 0x16cd43dd,
  traceId2: 0x8448eb21 | 0,
  traceId3: 0x1c80319c,
  spanId0: 0x00f067aa,
  spanId1: 0x0ba902b7,
  startMs: 1_000.25,
  firstByteUs: 700,
  totalUs: 1_234,
  method: 1,
  status: 200,
  target: '/reviews/7',
  authority: 'reviews:9080',
  peerAddress: '10.0.0.7',
  peerPort: 9080,
};

function text(random: Random, lengthMax: number): string {
  const length = randomBelow(random, lengthMax + 1);
  return 'abcdefghijklmnopqrstuvwxyz/?=.'.repeat(Math.ceil(length / 30) + 1).slice(0, length);
}

/** A record with random content that the ring keeps exactly. */
export function randomRecord(random: Random): ExchangeRecord {
  const record = new ExchangeRecord();
  const below = (bound: number) => randomBelow(random, bound);
  const word = () => random.u32() | 0;
  record.kind = 1 + below(4);
  record.flags = below(65_536);
  record.traceId0 = word();
  record.traceId1 = word();
  record.traceId2 = word();
  record.traceId3 = word();
  record.spanId0 = word();
  record.spanId1 = word();
  record.parentId0 = word();
  record.parentId1 = word();
  record.startMs = below(1_000_000) / 8;
  record.queueUs = below(1_000) - 1;
  record.dnsUs = below(1_000) - 1;
  record.connectUs = below(1_000) - 1;
  record.tlsUs = below(1_000) - 1;
  record.requestUs = below(1_000) - 1;
  record.firstByteUs = below(100_000) - 1;
  record.responseUs = below(100_000) - 1;
  record.proxyUs = below(100) - 1;
  record.totalUs = below(16_000_000);
  record.method = below(11);
  record.status = below(600);
  record.causeCode = below(31);
  record.join = below(4);
  record.joinField = below(16);
  record.tlsVersion = below(3);
  record.callbackPort = below(65_536);
  record.seriesId = below(65_536);
  record.sampledBy = below(10);
  record.attempt = below(256);
  record.attemptReason = below(128);
  record.routeId = below(100_000);
  record.ruleIndex = below(65_536);
  record.clusterId = below(100_000);
  record.subsetId = below(100_000);
  record.weight = below(1_000_000);
  record.endpointId = below(100_000);
  record.generation = below(100_000);
  record.destinationId = below(100_000);
  record.principalId = below(100_000);
  record.policyId = below(100_000);
  record.policyBits = below(256);
  record.requestBytes = below(4) === 0 ? 2 ** 40 + below(1_000) : below(2 ** 32);
  record.responseBytes = below(4) === 0 ? 2 ** 47 + below(1_000) : below(2 ** 32);
  record.connectionId = below(2 ** 31);
  record.connectionRequests = below(2 ** 31);
  record.peerPort = below(65_536);
  record.minorVersion = below(2);
  record.target = text(random, 300);
  record.authority = text(random, 60);
  record.userAgent = text(random, 120);
  record.peerAddress = text(random, 39);
  record.extra = below(4) === 0 ? text(random, 200) : '';
  return record;
}
