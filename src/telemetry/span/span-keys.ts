/**
 * Every attribute key that our spans use, with the one type it has for ever.
 *
 * What is written is checked against this table by the compiler, what arrives in a collector by
 * test/e2e/acceptance/t01 and what the viewer reads by the same words. Stable names are those of
 * semantic conventions 1.44, those with `tracecar.` are ours (reference/tracing.md section 4). Custom tags
 * and captured headers have names of the user's and are not here.
 */

/** How a value is typed: text, whole number, number with a fraction, truth, list of texts. */
export type SpanValueType = 'text' | 'whole' | 'fraction' | 'truth' | 'texts';

export const spanKeys = {
  // Both directions.
  'http.request.method': 'text',
  'http.request.method_original': 'text',
  'http.response.status_code': 'whole',
  'error.type': 'text',
  'network.protocol.name': 'text',
  'network.protocol.version': 'text',
  'network.transport': 'text',
  'network.peer.address': 'text',
  'network.peer.port': 'whole',
  'server.address': 'text',
  'server.port': 'whole',
  'service.peer.name': 'text',
  'service.peer.namespace': 'text',
  'tls.established': 'truth',
  'tls.protocol.version': 'text',
  /** Of the certificate that the client of a Gateway has shown, and that was verified. */
  'tls.client.subject': 'text',
  'tracecar.direction': 'text',
  'tracecar.route': 'text',
  'tracecar.rule': 'whole',
  /** Where the rule is written: `reviews.yaml:9:7`, line and column from 1. */
  'tracecar.rule.origin': 'text',
  'tracecar.subset': 'text',
  'tracecar.weight': 'whole',
  'tracecar.generation': 'whole',
  'tracecar.cause': 'text',
  /** What the failure was about: names, addresses, what was expected and what was there. */
  'tracecar.detail': 'text',
  'tracecar.flags': 'texts',
  'tracecar.original_destination': 'text',
  /** SPIFFE id that the peer has proved. */
  'tracecar.peer.identity': 'text',
  /** SPIFFE id that it should have proved, where it is another one. */
  'tracecar.peer.expected': 'text',
  /** `namespace/name` of the AuthorizationPolicy that denied, or of the PeerAuthentication. */
  'tracecar.policy': 'text',
  /** deny: a rule of it holds; none-allows: no rule of any ALLOW policy does. */
  'tracecar.policy.reason': 'text',
  /** Where it is written, as `tracecar.rule.origin`; also of the two below. */
  'tracecar.policy.origin': 'text',
  /** The dry-run policy that would have denied. */
  'tracecar.policy.would': 'text',
  /** The AUDIT policy that holds. */
  'tracecar.policy.audit': 'text',
  'tracecar.upgrade': 'truth',
  'tracecar.conn.reused': 'truth',
  'tracecar.conn.id': 'whole',
  'tracecar.conn.requests': 'whole',
  /** parent ratio error slow retry denied retro debug cap: `SampledBy`. */
  'tracecar.sampled_by': 'text',
  /** Microseconds, as all `tracecar.time.*`. */
  'tracecar.time.queue_us': 'whole',
  'tracecar.time.dns_us': 'whole',
  'tracecar.time.connect_us': 'whole',
  'tracecar.time.tls_us': 'whole',
  'tracecar.time.request_us': 'whole',
  'tracecar.time.ttfb_us': 'whole',
  'tracecar.time.response_us': 'whole',
  'tracecar.time.proxy_us': 'whole',
  // SERVER.
  'url.scheme': 'text',
  'url.path': 'text',
  'url.query': 'text',
  'client.address': 'text',
  'user_agent.original': 'text',
  // CLIENT.
  'url.full': 'text',
  'http.request.resend_count': 'whole',
  'tracecar.cluster': 'text',
  'tracecar.endpoint': 'text',
  'tracecar.lb.policy': 'text',
  'tracecar.lb.candidates': 'whole',
  'tracecar.attempt.reason': 'text',
  /** app, preload, `correlation:<header>`, none. */
  'tracecar.join': 'text',
  'tracecar.join.confidence': 'fraction',
  // Connections.
  'client.port': 'whole',
  'tracecar.protocol': 'text',
  'tracecar.detected_by': 'text',
  'tracecar.alpn': 'texts',
  'tracecar.sent_bytes': 'whole',
  'tracecar.received_bytes': 'whole',
} as const satisfies Readonly<Record<string, SpanValueType>>;

export type SpanKey = keyof typeof spanKeys;

interface Values {
  readonly text: string;
  readonly whole: number;
  readonly fraction: number;
  readonly truth: boolean;
  readonly texts: readonly string[];
}

/** What the key holds. */
export type SpanValue<Key extends SpanKey> = Values[(typeof spanKeys)[Key]];

/** Any of them, or a custom tag or captured header. */
export type AnySpanValue = Values[SpanValueType];
