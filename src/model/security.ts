/**
 * Security of a workload as frozen plain data: who may call it and how, and what TLS upstreams speak.
 *
 *   RoutingTable.security ── modes (PeerAuthentication) ── by port
 *                         └─ policies (AuthorizationPolicy): deny, allow, audit ── rules ── conditions
 *   Cluster.tls ── what is spoken to its endpoints;  Endpoint.identity ── who has to answer there
 *
 * An identity is a SPIFFE id, `spiffe://TRUST-DOMAIN/ns/NAMESPACE/sa/SERVICE-ACCOUNT`.
 */

/** The ALPN name of the mesh's own TLS: by it a sidecar's ClientHello is told from an application's. */
export const MESH_PROTOCOL = 'tracecar/1';

/**
 * Offered beside it, and never answered with, by a sidecar or gateway that writes the requests of a
 * connection itself: what its caller or its application says of certificates is taken out of them. Not
 * offered where bytes are relayed unread.
 */
export const MESH_REQUESTS = 'tracecar/requests';

/**
 * What a workload with an identity tells its application in x-forwarded-client-cert: who calls, behind what
 * a sidecar or gateway there has told of callers before it (`append`); who calls, alone (`set`); nothing
 * (`off`). At a gateway the first two tell what certificate was shown.
 */
export type ClientCertMode = 'append' | 'set' | 'off';

/** Of a mesh that nobody has given another one. */
export const usualTrustDomain = 'cluster.local';

/**
 * What an inbound port takes from sidecars and others: `permissive` mutual TLS of the mesh and everything
 * else, `strict` mutual TLS alone, `disable` everything as it comes (mutual TLS is not ended).
 */
export type PeerMode = 'disable' | 'permissive' | 'strict';

/** Of the workload whose table it is. */
export interface InboundSecurity {
  readonly mode: PeerMode;
  /** `PeerAuthentication default/strict file:line:column`, for people; empty: nobody has said. */
  readonly origin: string;
  /** By the port of the workload (of the ingress listener, or that a captured connection went to). */
  readonly ports: readonly PortMode[];
  readonly authorization: AuthorizationPlan;
}

export interface PortMode {
  readonly port: number;
  readonly mode: PeerMode;
  readonly origin: string;
}

/** The policies that select a workload, in the order of their names; empty lists allow everybody. */
export interface AuthorizationPlan {
  /** One whose rule holds denies; asked first. */
  readonly deny: readonly AuthorizationPolicy[];
  /** If there is one, a rule of one has to hold. */
  readonly allow: readonly AuthorizationPolicy[];
  /** Marks in traces and counters what a rule holds for; never denies. */
  readonly audit: readonly AuthorizationPolicy[];
}

export interface AuthorizationPolicy {
  /** Its namespace/name. */
  readonly name: string;
  /** `file:line:column`, for people. */
  readonly origin: string;
  /** Annotation `istio.io/dry-run`: what it would deny is counted and traced, nothing is blocked. */
  readonly isDryRun: boolean;
  /** It holds something that cannot be evaluated: everything that it selects is denied. */
  readonly isUnsupported: boolean;
  /** Any one suffices. None: holds for nothing (an ALLOW policy without rules lets nobody in). */
  readonly rules: readonly AuthorizationRule[];
}

/** All that is not empty must hold: one of `from`, one of `to`, all of `when`. */
export interface AuthorizationRule {
  readonly from: readonly SourceMatch[];
  readonly to: readonly OperationMatch[];
  readonly when: readonly ConditionMatch[];
}

/** Values to find and values that must not be; empty lists say nothing. */
export interface ValueMatch<T> {
  readonly values: readonly T[];
  readonly notValues: readonly T[];
}

/** Istio's matching of texts: exact, `prefix*`, `*suffix`, or `*` for anything that is not empty. */
export type TextPattern =
  | { readonly kind: 'exact'; readonly value: string }
  | { readonly kind: 'prefix'; readonly value: string }
  | { readonly kind: 'suffix'; readonly value: string }
  | { readonly kind: 'present' };

/** An address range: the bytes of its first address, and how many bits of them count. */
export interface AddressRange {
  readonly bytes: readonly number[];
  readonly prefix: number;
}

export interface SourceMatch {
  /** Without `spiffe://`: `cluster.local/ns/default/sa/web`. */
  readonly principals: ValueMatch<TextPattern>;
  readonly namespaces: ValueMatch<TextPattern>;
  /** `namespace/name`; without a slash of the policy's namespace. */
  readonly serviceAccounts: ValueMatch<TextPattern>;
  readonly trustDomains: ValueMatch<TextPattern>;
  /** Of the connection's peer. */
  readonly ipBlocks: ValueMatch<AddressRange>;
  /** Of the original client (trusted hops, PROXY protocol); else the peer. */
  readonly remoteIpBlocks: ValueMatch<AddressRange>;
}

export interface OperationMatch {
  readonly hosts: ValueMatch<TextPattern>;
  readonly ports: ValueMatch<number>;
  readonly methods: ValueMatch<TextPattern>;
  /** Of the normal form of the path, which is also what is forwarded. */
  readonly paths: ValueMatch<PathPattern>;
}

/** A `TextPattern`, or segments with `{*}` for one segment and `{**}` for any number of them. */
export type PathPattern =
  | TextPattern
  | { readonly kind: 'template'; readonly segments: readonly string[] };

export type ConditionMatch =
  | { readonly on: 'header'; readonly name: string; readonly texts: ValueMatch<TextPattern> }
  | {
      readonly on: 'principal' | 'namespace' | 'service-account' | 'server-name';
      readonly texts: ValueMatch<TextPattern>;
    }
  | {
      readonly on: 'source-address' | 'remote-address' | 'destination-address';
      readonly ranges: ValueMatch<AddressRange>;
    }
  | { readonly on: 'destination-port'; readonly ports: ValueMatch<number> };

export const noPolicies: AuthorizationPlan = Object.freeze({
  deny: Object.freeze([]),
  allow: Object.freeze([]),
  audit: Object.freeze([]),
});

/** Where no resource says anything. */
export const usualSecurity: InboundSecurity = Object.freeze({
  mode: 'permissive',
  origin: '',
  ports: Object.freeze([]),
  authorization: noPolicies,
});

/**
 * What is spoken to a cluster's endpoints. `auto`: mutual TLS of the mesh to those with an identity, the
 * bytes as they are to others. `mesh`: to all, and those without an identity fail. `disable`: as they are.
 */
export type UpstreamTls =
  | { readonly mode: 'auto' | 'mesh' | 'disable' }
  | {
      readonly mode: 'simple' | 'mutual';
      /** Of the ClientHello; empty: the Host of the request's cluster, its service. */
      readonly serverName: string;
      /** One of them has to be in the certificate; empty: `serverName` has. */
      readonly subjectAltNames: readonly string[];
      /** PEM, absolute path; empty: the system's roots. */
      readonly caFile: string;
      /** PEM, absolute paths; empty unless `mutual`. */
      readonly certificateFile: string;
      readonly keyFile: string;
      /** `insecureSkipVerify`: nothing is checked. */
      readonly isUnverified: boolean;
    };

export const autoTls: UpstreamTls = Object.freeze({ mode: 'auto' });
