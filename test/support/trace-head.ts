/**
 * A request head as the proxy reads it, and what TraceHeaders makes of it: for tests of context headers.
 */

import assert from 'node:assert/strict';
import { trafficLimits } from '../../src/model/limits.ts';
import { WriteSlab } from '../../src/proxy/socket/write-slab.ts';
import {
  type TraceCaller,
  TraceHeaders,
  type TraceSelf,
} from '../../src/proxy/trace/trace-headers.ts';
import { putRequestIdLine, putTraceLines } from '../../src/proxy/trace/trace-lines.ts';
import { OpenRequests } from '../../src/telemetry/context/open-requests.ts';
import { TokenBucket } from '../../src/telemetry/metrics/keep-state.ts';
import { ConnectionCounts } from '../../src/telemetry/metrics/metrics.ts';
import type { ExchangeRecord } from '../../src/telemetry/record/exchange-record.ts';
import { HeadReader, HeadState } from '../../src/wire/http1/head-reader.ts';
import { Dropped, MessageHead } from '../../src/wire/http1/message-head.ts';

/** A head with `lines`, each with its CRLF. */
export function headOf(lines: string): MessageHead {
  const head = new MessageHead();
  const reader = new HeadReader(head, 'request', trafficLimits);
  const text = `GET / HTTP/1.1\r\nHost: a\r\n${lines}\r\n`;
  assert.equal(reader.read(Buffer.from(text, 'latin1'), 0), HeadState.Done, text);
  return head;
}

/** What a test process says of itself. */
export const testSelf: TraceSelf = selfOf({});

/** One that was told more. */
export function selfOf(tracing: TraceSelf['tracing'], nowMs = 0): TraceSelf {
  const counts = new ConnectionCounts();
  return {
    clock: { now: () => nowMs, epochMs: 0 },
    hopTagOf: () => 0xcafe,
    callbackPort: 15_004,
    tracing,
    learnedFormats: 0,
    countsOf: () => counts,
    openRequests: new OpenRequests(1, 2),
    forcedSamples: new TokenBucket(),
  };
}

/** Nobody in particular. */
export const someCaller: TraceCaller = { isPeer: false, owner: { port: 80 } };

/** What has been read of `lines`. */
export function readTrace(
  lines: string,
  headers = new TraceHeaders(testSelf, 'outbound'),
  caller = someCaller,
) {
  const head = headOf(lines);
  headers.read(head, caller);
  return { headers, head };
}

/** Lines of the head that go on, and those that are put behind them. */
export function passedLines(headers: TraceHeaders, head: MessageHead, record: ExchangeRecord) {
  const out = new WriteSlab(65_536);
  const kept: string[] = [];
  for (let index = 0; index < head.count; index++) {
    if (head.dropped[index] === Dropped.Kept) {
      kept.push(`${head.name(index)}: ${head.value(index)}`);
    }
  }
  putTraceLines(headers, head, record, out);
  headers.begun(head, record);
  putRequestIdLine(headers, record, true, out);
  headers.end();
  const put = out.reserve(0).toString('latin1', 0, out.length).split('\r\n');
  assert.equal(put.pop(), '');
  return { kept: kept.filter((line) => !line.startsWith('Host:')), put };
}
