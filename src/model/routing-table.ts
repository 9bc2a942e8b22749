/**
 * The routing table: what the data plane does, as frozen plain data. Read this file first.
 *
 *   RoutingTable ── listeners ── virtual hosts ── rules ── matches (when)
 *        │                                          └───── backends (where, by weight) ──┐
 *        ├── clusters ── endpoints                                       cluster name ◄──┤
 *        └── capture ── destinations (addresses) ── connection rules ── backends ────────┘
 *
 * `config` compiles it, nobody changes it afterwards, and an exchange keeps the table it began with.
 * It is a function of the resources present, never of their history; only `generation` counts up.
 */

import type { Milliseconds } from '../base/clock.ts';
import type { Cause } from './failure.ts';
import type { InboundSecurity, UpstreamTls } from './security.ts';

export interface RoutingTable {
  readonly kind: 'routing-table';
  /** Counts up with each swap of one process, from 1. */
  readonly generation: number;
  readonly listeners: readonly Listener[];
  /** Of different names, by which backends refer to them. */
  readonly clusters: readonly Cluster[];
  /** What happens to captured connections; undefined when nothing is captured. */
  readonly capture: CapturePlan | undefined;
  /** What Telemetry resources say of spans, by the direction of what was passed on. */
  readonly tracing: TracingRules;
  /** What PeerAuthentication and AuthorizationPolicy say of calls to this workload. */
  readonly security: InboundSecurity;
}

export type TracingRules = Readonly<Record<Direction, TracingRule>>;

/** How the traces are sampled that begin here, and what spans carry beside their own attributes. */
export interface TracingRule {
  /** Share of new traces that are exported, 0 to 1; undefined: OTEL_TRACES_SAMPLER says. */
  readonly ratio: number | undefined;
  /** Whether spans are exported at all. */
  readonly isReported: boolean;
  /** Of different names. */
  readonly tags: readonly CustomTag[];
}

/** An attribute of every span; one without a value is left out. */
export type CustomTag =
  | { readonly kind: 'literal'; readonly name: string; readonly value: string }
  | {
      readonly kind: 'environment';
      readonly name: string;
      readonly variable: string;
      /** When the variable is unset; empty: no attribute then. */
      readonly otherwise: string;
    }
  | {
      readonly kind: 'header';
      readonly name: string;
      /** Lower-case name of a request's field. */
      readonly header: string;
      /** When the request has no such field; empty: no attribute then. */
      readonly otherwise: string;
    };

const untouched: TracingRule = Object.freeze({
  ratio: undefined,
  isReported: true,
  tags: Object.freeze([]),
});

/** Where no resource says anything. */
export const noTracingRules: TracingRules = Object.freeze({
  inbound: untouched,
  outbound: untouched,
});

/**
 * Captured connections arrive on one port for each direction; their original destination says what is
 * meant: a known address, else a name on a listener of its port. No listener here is ever bound:
 * `address` is the empty text.
 */
export interface CapturePlan {
  /** One for each port of a known service that may speak HTTP/1.1. */
  readonly outbound: readonly Listener[];
  /** Ports with rules of their own; the others lead to the original destination. */
  readonly inbound: readonly Listener[];
  /** What outbound addresses are known, by address, prefix and port; none stands twice. */
  readonly destinations: readonly Destination[];
  /** What happens to an outbound destination or authority that is not known: passed on, or refused. */
  readonly outboundPolicy: OutboundPolicy;
}

export type OutboundPolicy = 'allow-any' | 'registry-only';

/**
 * What a port was declared to speak; `detect`: nothing was. HTTP/2 is relayed unread as TCP is, but its
 * downstream speaks first.
 */
export type DeclaredProtocol = 'http' | 'http2' | 'tls' | 'tcp' | 'detect';

/**
 * An address and port that outbound connections were going to. One with an empty `address` and prefix
 * 0 is for every address that has no other on its port: connections told apart by SNI alone.
 */
export interface Destination {
  /** IP address, lower-case and without zone; of a range its first. */
  readonly address: string;
  /** Bits of `address` that count; 32 or 128 for a single one. */
  readonly prefix: number;
  readonly port: number;
  /** `service`: a virtual address, balanced over all. `endpoint`: that one was meant, a pod's address. */
  readonly kind: 'service' | 'endpoint';
  readonly protocol: DeclaredProtocol;
  /** Full name of the service; empty when only SNI tells which one. */
  readonly service: string;
  /**
   * Name of one of `CapturePlan.outbound`, whose virtual host of the name `service` takes authorities
   * that the listener does not know; empty when HTTP is not expected.
   */
  readonly listener: string;
  /** In order; empty: connections that are not HTTP go to the original destination. */
  readonly connectionRules: readonly ConnectionRule[];
}

/** One `tls[]` or `tcp[]` entry of a VirtualService on one port, or the default route of a service. */
export interface ConnectionRule {
  /** Stable across tables while its weights stay: `default/db-route/tcp[0]`. */
  readonly identity: string;
  /** `VirtualService default/db-route`, or `ServiceEntry ...` for a default route. */
  readonly resource: string;
  /** The resource's namespace/name. */
  readonly route: string;
  /** Position in the resource's list, from 0. */
  readonly index: number;
  /** `file:line:column` of the rule, for people. */
  readonly origin: string;
  /** Any one of them suffices; empty means always. */
  readonly matches: readonly ConnectionMatch[];
  /** Without header edits. */
  readonly backends: readonly Backend[];
  /** Set when the rule cannot work as written: connections that it takes are refused with this cause. */
  readonly broken: Cause | undefined;
}

/** Both must hold. */
export interface ConnectionMatch {
  /** Names or `*.suffix` of a ClientHello, lower-case; empty: any connection, TLS or not. */
  readonly sniHosts: readonly string[];
  /** Ranges that the original destination's address is in, `10.0.0.0/8`; empty: any. */
  readonly subnets: readonly string[];
}

export type Direction = 'inbound' | 'outbound';

/** An address that the proxy accepts on, with everything that may be asked there. */
export interface Listener {
  /** Stable across tables: `outbound|127.0.0.1|9080`. Same name = same socket, kept open. */
  readonly name: string;
  readonly direction: Direction;
  /** IP address to bind, as written (`127.0.0.1`, `0.0.0.0`, `::1`); empty in a `CapturePlan`. */
  readonly address: string;
  /** 0 to 65535; 0 asks the system for one (tests only). In a `CapturePlan`: 1 to 65535. */
  readonly port: number;
  /** How TLS of downstream ends here; undefined: plain text. Inbound only. */
  readonly tls: ListenerTls | undefined;
  readonly virtualHosts: readonly VirtualHost[];
  /** Index of the virtual host that takes every authority, or -1 (unknown authority: no-route). */
  readonly defaultHost: number;
  /** Set where the mesh meets the world outside: a port of a Gateway. `tls` is undefined then. */
  readonly gateway?: GatewayPort;
}

/**
 * A port of Gateways: one server takes each name, the one whose hosts name it most exactly. Those that end
 * TLS have virtual hosts in the listener; where a server says nothing of one of its hosts, it is there
 * without rules, so that nobody else's wildcard takes it.
 */
export interface GatewayPort {
  /** TLS begins every connection: the name of its ClientHello chooses the server. Else the authority does. */
  readonly isSecure: boolean;
  readonly servers: readonly GatewayServer[];
  /** For connections that are relayed unread, by SNI. */
  readonly connectionRules: readonly ConnectionRule[];
}

/** One entry of `servers` of a Gateway. */
export interface GatewayServer {
  /** `default/shop/servers[0]`. */
  readonly name: string;
  /** `file:line:column` of the entry, for people. */
  readonly origin: string;
  /** Lower-case DNS names, `*.suffix` or `*`. */
  readonly hosts: readonly string[];
  /**
   * `forward`: requests are routed. `redirect`: they are told to come by https. `relay`: TLS goes on unread.
   * `closed`: its certificate is named and not there, so nobody is served.
   */
  readonly action: 'forward' | 'redirect' | 'relay' | 'closed';
  /** Set where TLS ends here. */
  readonly tls: ListenerTls | undefined;
}

/** Files by absolute path, PEM; the proxy reads them and follows their changes. */
export interface ListenerTls {
  /**
   * `mutual` asks downstream for a certificate that `caFile` vouches for; `optional-mutual` too, and serves
   * those that show none.
   */
  readonly mode: 'simple' | 'mutual' | 'optional-mutual';
  /** The serving certificate, then its intermediates. */
  readonly certificateFile: string;
  readonly keyFile: string;
  /** More of them for the same names, of keys of another kind: each downstream gets what it can check. */
  readonly otherPairs?: readonly CertificateFiles[];
  /** Roots for downstream's certificate; empty when `mode` is `simple`. */
  readonly caFile: string;
  /** One of them has to be in a certificate that downstream shows; absent: its roots suffice. */
  readonly subjectAltNames?: readonly string[];
  readonly minVersion: 'TLSv1.2' | 'TLSv1.3';
  /** Of TLS 1.2, in OpenSSL's names, joined by colons; absent: those of Node.js. */
  readonly ciphers?: string;
}

export interface CertificateFiles {
  readonly certificateFile: string;
  readonly keyFile: string;
}

/** The authorities that share one list of rules. */
export interface VirtualHost {
  /** For people: the service's full name, or `inbound`. */
  readonly name: string;
  /**
   * Lower-case DNS names or IP addresses without a port, `*.suffix` wildcards, or `*`. An exact name
   * beats a wildcard, a longer wildcard beats a shorter one.
   */
  readonly domains: readonly string[];
  /** In order; the first rule whose match holds decides. */
  readonly rules: readonly Rule[];
}

/** One `http[]` entry of a VirtualService, or the default route of a service. */
export interface Rule {
  /** Stable across tables while its weights stay: `default/reviews-route/http[0]`. */
  readonly identity: string;
  /** `VirtualService default/reviews-route`, or `ServiceEntry ...` for a default route. */
  readonly resource: string;
  /** `http[].name` if given, else the resource's namespace/name. */
  readonly route: string;
  /** Position in the resource's list, from 0. */
  readonly index: number;
  /** `file:line:column` of the rule, for people. */
  readonly origin: string;
  /** Any one of them suffices; empty means always. */
  readonly matches: readonly Match[];
  readonly backends: readonly Backend[];
  /** Whole exchange, from the end of the request head; Infinity when the route sets none. */
  readonly timeoutMs: Milliseconds;
  readonly requestHeaders: HeaderEdits;
  readonly responseHeaders: HeaderEdits;
  /** Set when the rule cannot work as written: it answers with this cause, other rules are untouched. */
  readonly broken: Cause | undefined;
}

/** All conditions of one match must hold. */
export interface Match {
  readonly path: StringMatch | undefined;
  readonly method: StringMatch | undefined;
  /** Compared lower-case and without a port. */
  readonly authority: StringMatch | undefined;
  /** Names lower-case. Repeated fields are joined with `,` before the comparison. */
  readonly headers: readonly NamedMatch[];
  /** Names as written; the first occurrence of a parameter counts. */
  readonly query: readonly NamedMatch[];
}

export interface NamedMatch {
  readonly name: string;
  readonly value: StringMatch;
}

/** How a text is compared; `present` holds for any value, the empty one too. */
export type StringMatch =
  | { readonly kind: 'exact'; readonly value: string }
  | { readonly kind: 'prefix'; readonly value: string }
  | { readonly kind: 'regex'; readonly source: string; readonly regex: RegExp }
  | { readonly kind: 'present' };

/** A weighted choice of a rule. */
export interface Backend {
  /** Name of one of `RoutingTable.clusters`; empty when the rule is broken. */
  readonly cluster: string;
  /** As written in YAML; a share is weight / sum. 0 gets nothing. */
  readonly weight: number;
  readonly requestHeaders: HeaderEdits;
  readonly responseHeaders: HeaderEdits;
}

/** Applied in the order remove, set, add. Names keep their case; values are checked field values. */
export interface HeaderEdits {
  readonly remove: readonly string[];
  readonly set: readonly (readonly [name: string, value: string])[];
  readonly add: readonly (readonly [name: string, value: string])[];
}

export const noHeaderEdits: HeaderEdits = Object.freeze({
  remove: Object.freeze([]),
  set: Object.freeze([]),
  add: Object.freeze([]),
});

export type BalancingPolicy = 'least-request' | 'round-robin';

/** A named pool of endpoints with its policy: a service's port, or one subset of it. */
export interface Cluster {
  /** `outbound|9080|v1|reviews.default.svc.cluster.local`; no subset leaves that part empty. */
  readonly name: string;
  /** Full name of the service, `reviews.default.svc.cluster.local`. */
  readonly service: string;
  readonly namespace: string;
  /** Empty when the cluster is the whole service. */
  readonly subset: string;
  readonly balancing: BalancingPolicy;
  /** As somebody has written it; undefined: nobody has, and the limits of traffic say. */
  readonly connectTimeoutMs: Milliseconds | undefined;
  /** What its endpoints are spoken to. */
  readonly tls: UpstreamTls;
  readonly endpoints: readonly Endpoint[];
}

export interface Endpoint {
  /** IP address or, for `resolution: DNS`, a DNS name. */
  readonly address: string;
  readonly port: number;
  readonly labels: Readonly<Record<string, string>>;
  /** Where it runs, `eu-west-1a`; empty: nobody says. */
  readonly zone: string;
  /** SPIFFE id of the workload behind a sidecar that answers there; empty: it has no sidecar. */
  readonly identity: string;
}
