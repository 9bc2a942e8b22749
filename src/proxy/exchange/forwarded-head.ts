/**
 * The head of a request as it goes on: as it was sent, or in its normal form with the rule's edits; with
 * trace context, and what is proved of the client, in either case.
 */

import type { ExchangeRecord } from '../../telemetry/record/exchange-record.ts';
import type { MessageHead } from '../../wire/http1/message-head.ts';
import {
  headRoom,
  putHeadEnd,
  putRequestHead,
  putRequestHeadAsSent,
} from '../../wire/http1/print.ts';
import type { RouteChoice } from '../plan/exchange-route.ts';
import type { WriteSlab } from '../socket/write-slab.ts';
import type { TraceHeaders } from '../trace/trace-headers.ts';
import { putRequestIdLine, putTraceLines } from '../trace/trace-lines.ts';
import { dropClientCert } from './client-cert-header.ts';
import type { UpstreamLease } from './upstream-lease.ts';

/** Puts it into the message in `out`; `record` tells of the span that it names as parent. */
export function putForwardedHead(
  head: MessageHead,
  route: RouteChoice,
  lease: UpstreamLease,
  trace: TraceHeaders,
  record: ExchangeRecord,
  out: WriteSlab,
): void {
  // By mutual TLS of the mesh what it says of callers would be believed, and it is the application's word.
  if (lease.isMeshed) dropClientCert(head);
  const memory = out.reserve(headRoom(head));
  if (route.isAsSent) {
    out.length = putRequestHeadAsSent(head, memory, out.length, route.isPathSettled);
  } else {
    out.length = putRequestHead(head, memory, out.length);
    out.putText(route.backend!.requestEdits.lines);
  }
  if (route.clientLines !== '') out.putText(route.clientLines);
  putTraceLines(trace, head, record, out);
  putRequestIdLine(trace, record, !route.isAsSent, out);
  // HTTP/1.0 knows requests without Host, HTTP/1.1 does not.
  if (head.hostIndex === -1 && !route.isAsSent) out.putText(`Host: ${lease.where}\r\n`);
  out.length = putHeadEnd(out.reserve(2), out.length);
}
