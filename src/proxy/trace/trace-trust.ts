/**
 * What a request is worth to tracing: whether it makes spans at all, and whether its caller may decide
 * about them.
 *
 * Not traced are a kubelet's probes, what applications export to a collector, and the paths that are
 * configured: their context passes as if this were no telemetry, for metrics and log they count. A caller
 * who knows the token gets its trace exported wherever it comes from.
 */

import { usualPeers } from '../../telemetry/settings/tracing-choices.ts';
import { FieldId } from '../../wire/http1/field-id.ts';
import { Dropped, type MessageHead } from '../../wire/http1/message-head.ts';
import { Method } from '../../wire/http1/method.ts';
import { Seen, type TraceFields } from './trace-fields.ts';

const PROBE = 'kube-probe/';
/** OTLP by gRPC and HTTP, Zipkin, Jaeger. */
const exporterPorts: readonly number[] = [4317, 4318, 9411, 14_268];
const otlpPaths: readonly string[] = ['/v1/traces', '/v1/metrics', '/v1/logs'];
const OTLP_GRPC = '/opentelemetry.proto.';
const SLASH = 47;

/**
 * Whether somebody has said with `--peer` where sidecars are. The usual ranges are good among sidecars
 * only: a load balancer before an edge has such an address too, and all that it forwards comes from it.
 */
export function namesPeers(peers: readonly string[] | undefined): boolean {
  return peers !== undefined && peers !== usualPeers && peers.length > 0;
}

/** Baggage of Jaeger: a field each. */
const UBER_BAGGAGE = /^uberctx-/i;

/** Takes out what a caller outside the mesh says for all who come after: request ids and baggage. */
export function dropOutside(head: MessageHead): void {
  const { ids, count, dropped } = head;
  for (let index = 0; index < count; index++) {
    const id = ids[index]!;
    const isOurs = id === FieldId.XRequestId || id === FieldId.Baggage;
    if (isOurs || (id === FieldId.Other && UBER_BAGGAGE.test(head.name(index)))) {
      dropped[index] = Dropped.Never;
    }
  }
}

/** `port`: where the caller connected to, or meant to. `untracedPaths`: prefixes. */
export function isUntraced(
  head: MessageHead,
  isOutbound: boolean,
  port: number,
  untracedPaths: readonly string[],
): boolean {
  const { text, targetStart } = head;
  for (let index = 0; index < untracedPaths.length; index++) {
    if (text.startsWith(untracedPaths[index]!, targetStart)) return true;
  }
  return isOutbound && (exporterPorts.includes(port) || isOtlp(head));
}

/** Whether it says that it is a kubelet's probe. */
export function isProbe({ text, valueStart }: MessageHead, fields: TraceFields): boolean {
  if (!fields.has(Seen.UserAgent)) return false;
  return text.startsWith(PROBE, valueStart[fields.indexOf(Seen.UserAgent)]);
}

/** An application's spans, metrics or logs on their way to a collector at a port of its own. */
function isOtlp({ text, method, targetStart, targetEnd }: MessageHead): boolean {
  if (method !== Method.Post || text.charCodeAt(targetStart) !== SLASH) return false;
  if (text.startsWith(OTLP_GRPC, targetStart)) return true;
  for (let index = 0; index < otlpPaths.length; index++) {
    const path = otlpPaths[index]!;
    if (targetEnd - targetStart === path.length && text.startsWith(path, targetStart)) return true;
  }
  return false;
}

/** Whether the value of field `index` is the token; how long it takes tells nothing of it. */
export function isToken(head: MessageHead, index: number, token: string): boolean {
  const start = head.valueStart[index]!;
  if (token === '' || head.valueEnd[index]! - start !== token.length) return false;
  let difference = 0;
  for (let at = 0; at < token.length; at++) {
    difference |= head.text.charCodeAt(start + at) ^ token.charCodeAt(at);
  }
  return difference === 0;
}
