/**
 * Tracing choices: what flags and annotations say of tracing beside OpenTelemetry's variables.
 *
 * Plain data with the defaults of a process that was told nothing. `main` reads them; everything of
 * telemetry finds them in TelemetrySettings. docs/tracing-settings.md explains each to users.
 */

import { keepLimits } from '../../model/telemetry-limits.ts';

/** What is exported although the head sampler did not choose it. A retry and a denial always are. */
export interface KeepSettings {
  /** Traces kept because of an error, a second and route; 0: none. All are counted. */
  readonly errorsPerSecond: number;
  /** Traces kept because they were slow, a second and route; 0: none. */
  readonly slowPerSecond: number;
  /** Microseconds from which a request is slow; Infinity: only the route's own p99 says. */
  readonly slowUs: number;
  /** Whether an upstream's 4xx is an error here. */
  readonly keeps4xx: boolean;
  /** Memory for records of the last 30 s, from which a trace is recalled; 0: none is. */
  readonly historyBytes: number;
}

/**
 * What a received trace context means at the edge of the mesh: it is continued (`honour`), dropped
 * (`ignore`), or dropped and linked to (`link`). Undefined: this is no edge, and it is continued.
 */
export type EdgePolicy = 'honour' | 'ignore' | 'link' | undefined;

/**
 * The `server-timing` metric that callers outside the mesh are answered with: none, W3C's `trace`, or
 * `traceparent` as browsers' vendors read it.
 */
export type EdgeResponseHeader = 'off' | 'trace' | 'traceparent';

/** Which kinds of spans are exported. */
export type SpansMode = 'both' | 'server' | 'client';

export interface TracingChoices {
  readonly keep: KeepSettings;
  readonly spans: SpansMode;
  readonly edge: EdgePolicy;
  readonly edgeResponseHeader: EdgeResponseHeader;
  /** Ranges `address/bits` whose sidecars are believed: verdicts, keep messages. Empty: nobody. */
  readonly peers: readonly string[];
  /** Field names beside the known ones, lower-case, in order of trust. */
  readonly correlationHeaders: readonly string[];
  /** Prefixes of request paths that make no spans; they are counted and logged. */
  readonly untracedPaths: readonly string[];
  /** What `x-tracecar-debug` must hold to have its trace exported; empty: nothing does. A secret. */
  readonly debugToken: string;
  /** The zone of this workload, `eu-west-1a`; empty: unknown. */
  readonly zone: string;
}

/** Loopback, private, shared (RFC 6598), link-local and unique local addresses: a cluster's own. */
export const usualPeers: readonly string[] = Object.freeze([
  '127.0.0.0/8',
  '10.0.0.0/8',
  '172.16.0.0/12',
  '192.168.0.0/16',
  '100.64.0.0/10',
  '169.254.0.0/16',
  '::1/128',
  'fc00::/7',
  'fe80::/10',
]);

export const usualChoices: TracingChoices = Object.freeze({
  keep: Object.freeze({
    errorsPerSecond: keepLimits.errorsPerSecond,
    slowPerSecond: keepLimits.slowPerSecond,
    slowUs: Number.POSITIVE_INFINITY,
    keeps4xx: false,
    historyBytes: keepLimits.historyBytes,
  }),
  spans: 'both',
  edge: undefined,
  edgeResponseHeader: 'off',
  peers: usualPeers,
  correlationHeaders: Object.freeze([]),
  untracedPaths: Object.freeze([]),
  debugToken: '',
  zone: '',
});
