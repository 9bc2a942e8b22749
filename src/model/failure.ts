/**
 * Failures: the closed table of everything that can go wrong with an exchange and is nobody's bug.
 *
 * The same word (`cause`) is in the `x-tracecar-cause` header, the span, the metric label, the access
 * log and the documentation. A failure is decided where it is known and answered in one place
 * (`proxy`). Words: reference/features.md section 7; flags: Envoy's response flags, as a second label.
 */

/** Whose side it happened on. */
export type FailureSide = 'downstream' | 'upstream' | 'policy' | 'internal';

/** When the same request may be sent again, if its method and body allow it. */
export type RetryRule = 'never' | 'unsent' | 'idempotent';

export interface Failure {
  /** Small integer for records and metrics; 0 means no failure and is never in the table. */
  readonly code: number;
  readonly cause: string;
  readonly side: FailureSide;
  /** What the downstream gets when no response has begun. */
  readonly httpStatus: number;
  /** The closest of Envoy's two- to four-letter response flags. */
  readonly flag: string;
  readonly retry: RetryRule;
  /** The likely cause and what to look at next, for a person. */
  readonly sentence: string;
}

const rows = [
  [
    'protocol-error',
    'downstream',
    400,
    'DPE',
    'never',
    'The request is not valid HTTP/1.1; the detail says what and where. Nothing from there on was forwarded.',
  ],
  [
    'head-too-big',
    'downstream',
    431,
    'DPE',
    'never',
    'The request head is over the limit of bytes or fields; the detail names the field.',
  ],
  [
    'target-too-long',
    'downstream',
    414,
    'DPE',
    'never',
    'A rule is about the request, and its target is longer than 8 KiB.',
  ],
  [
    'body-too-big',
    'downstream',
    413,
    'DPE',
    'never',
    'The declared body or a chunk extension is over the limit.',
  ],
  [
    'not-implemented',
    'downstream',
    501,
    'DPE',
    'never',
    'The method or transfer coding is not one that this proxy forwards.',
  ],
  ['method-not-allowed', 'downstream', 405, 'DPE', 'never', 'CONNECT and TRACE are not forwarded.'],
  [
    'expectation-failed',
    'downstream',
    417,
    'DPE',
    'never',
    'The only expectation that exists is 100-continue.',
  ],
  [
    'version-not-supported',
    'downstream',
    505,
    'DPE',
    'never',
    'Only HTTP/1.0 and HTTP/1.1 are spoken on this listener.',
  ],
  [
    'request-head-timeout',
    'downstream',
    408,
    'DT',
    'never',
    'The downstream did not finish its request head in time, or the ClientHello whose name a rule asks for.',
  ],
  [
    'request-body-timeout',
    'downstream',
    408,
    'DT',
    'never',
    'A rule is about the request, and its body stopped coming or came too slowly.',
  ],
  [
    'client-gone',
    'downstream',
    499,
    'DC',
    'never',
    'The downstream closed its connection before the exchange was complete.',
  ],
  [
    'no-route',
    'policy',
    404,
    'NR',
    'never',
    'No host or rule of this listener matches the request; compare its authority and path with the VirtualService.',
  ],
  [
    'no-backend',
    'policy',
    503,
    'NC',
    'never',
    'The route leads to a host that no ServiceEntry defines; `tracecar validate` names it.',
  ],
  [
    'egress-denied',
    'policy',
    502,
    'NR',
    'never',
    'REGISTRY_ONLY: no ServiceEntry or Service that this workload sees has the host or address; the detail is one that would allow it.',
  ],
  [
    'subset-empty',
    'policy',
    503,
    'UH',
    'never',
    'No endpoint carries the labels of the chosen subset; compare them with the ServiceEntry.',
  ],
  [
    'no-healthy-endpoint',
    'upstream',
    503,
    'UH',
    'never',
    'The chosen cluster has no endpoint to send to.',
  ],
  [
    'overflow',
    'policy',
    503,
    'UO',
    'never',
    'The endpoint has 10 000 requests or tunnels under way, as many as the proxy takes in all.',
  ],
  ['draining', 'policy', 503, 'LH', 'never', 'This proxy is shutting down and takes no new work.'],
  [
    'loop',
    'policy',
    508,
    'DPE',
    'never',
    'The request has passed through too many proxies: it goes round in a circle.',
  ],
  [
    'connect-refused',
    'upstream',
    502,
    'UF',
    'unsent',
    'Nothing listens at the endpoint; is the port the one that the application opens, and is it running?',
  ],
  [
    'connect-timeout',
    'upstream',
    504,
    'UF',
    'unsent',
    'The endpoint did not accept a connection in time; is its host up and reachable?',
  ],
  [
    'no-route-to-host',
    'upstream',
    502,
    'UF',
    'unsent',
    'The network has no way to the endpoint address.',
  ],
  [
    'idle-race',
    'upstream',
    502,
    'UC',
    'idempotent',
    'The endpoint closed a kept connection at the moment when it was used again.',
  ],
  [
    'upstream-reset',
    'upstream',
    502,
    'UC',
    'idempotent',
    'The endpoint reset or closed the connection before a response head was complete.',
  ],
  [
    'upstream-cut',
    'upstream',
    502,
    'UC',
    'never',
    'The endpoint ended the connection in the middle of a response body; the downstream sees it cut.',
  ],
  [
    'upstream-protocol-error',
    'upstream',
    502,
    'UPE',
    'never',
    'The response is not valid HTTP/1.1; the detail says what and where.',
  ],
  [
    'response-head-too-big',
    'upstream',
    502,
    'UPE',
    'never',
    'The response head is over the limit of bytes or fields.',
  ],
  [
    'request-timeout',
    'upstream',
    504,
    'UT',
    'never',
    "The route's timeout passed before the response was complete.",
  ],
  [
    'response-head-timeout',
    'upstream',
    504,
    'UT',
    'never',
    'The endpoint began a response head and did not finish it in time.',
  ],
  [
    'stream-idle-timeout',
    'upstream',
    504,
    'SI',
    'never',
    'No byte moved in either direction for five minutes.',
  ],
  [
    'internal-error',
    'internal',
    500,
    'IE',
    'never',
    'A check inside this proxy failed: a bug. The log has its text; this connection was ended.',
  ],
  [
    'tls-failed',
    'upstream',
    502,
    'UF',
    'unsent',
    'The TLS handshake with the endpoint failed; the detail has the alert or the error of the library.',
  ],
  [
    'tls-expired',
    'upstream',
    502,
    'UF',
    'unsent',
    "A certificate on the way to the endpoint is expired or not yet valid, ours or the endpoint's; compare clocks, and `cert_seconds_left` of both sidecars.",
  ],
  [
    'tls-wrong-identity',
    'upstream',
    502,
    'UF',
    'unsent',
    'The endpoint proved another identity than the one that the configuration expects; the detail has both.',
  ],
  [
    'tls-plaintext-peer',
    'upstream',
    502,
    'UF',
    'unsent',
    'The endpoint does not speak TLS: it has no sidecar, or its sidecar has no certificate; is its label `security.istio.io/tlsMode` right?',
  ],
  [
    'tls-unknown-ca',
    'upstream',
    502,
    'UF',
    'unsent',
    "No root that this proxy trusts vouches for the endpoint's certificate; the detail says who issued it.",
  ],
  [
    'no-identity',
    'policy',
    403,
    'UAEX',
    'never',
    'STRICT: this workload takes mutual TLS of the mesh only, and the caller came without; give it a sidecar, or make the port PERMISSIVE.',
  ],
  [
    'denied',
    'policy',
    403,
    'UAEX',
    'never',
    'An AuthorizationPolicy denies the call, or none allows it; the detail names the policy and the identity of the caller.',
  ],
  [
    'policy-unsupported',
    'policy',
    403,
    'UAEX',
    'never',
    'A policy that selects this workload holds something that this proxy cannot evaluate, so everything is denied; `tracecar validate` names it.',
  ],
  [
    'misdirected',
    'downstream',
    421,
    'NR',
    'never',
    'The Host of the request is not one of the server name that its TLS connection was made for, or its target names a scheme or host that is not served here.',
  ],
  [
    'certificate-over',
    'policy',
    503,
    'DT',
    'never',
    'A connection that is relayed unread was ended with the certificates that it was made with: an hour after a renewal, or when one of them ended. Connect again; pools and WebSockets do.',
  ],
] as const;

export type Cause = (typeof rows)[number][0];

/** All failures, in the order of their codes; index 0 is code 1. */
export const failures: readonly Failure[] = Object.freeze(
  rows.map(([cause, side, httpStatus, flag, retry, sentence], index) =>
    Object.freeze({ code: index + 1, cause, side, httpStatus, flag, retry, sentence }),
  ),
);

/** The failures by name: `failure['no-route']`. */
export const failure: Readonly<Record<Cause, Failure>> = Object.freeze(
  Object.fromEntries(failures.map((each) => [each.cause, each])) as Record<Cause, Failure>,
);

/** The failure with this code, or undefined for 0 and unknown codes. */
export function failureByCode(code: number): Failure | undefined {
  return failures[code - 1];
}

/** The failure of this cause, or undefined: a newer program may know more of them. */
export function failureOf(cause: string): Failure | undefined {
  return Object.hasOwn(failure, cause) ? failure[cause as Cause] : undefined;
}
