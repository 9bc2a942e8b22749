/**
 * What all connections of one proxy share: time, chance, limits, telemetry, counts, the log.
 *
 * Built once by ProxyServer and handed to everything in this room. It decides nothing but how a bug
 * is contained: the connection that met it ends, is counted and logged; the process goes on.
 */

import type { Clock, Milliseconds } from '../../base/clock.ts';
import { Deadlines, type WakeUps } from '../../base/deadlines.ts';
import type { Random } from '../../base/random.ts';
import type { MeshIdentity } from '../../identity/mesh-identity.ts';
import type { TrafficLimits } from '../../model/limits.ts';
import type { Direction } from '../../model/routing-table.ts';
import { type ClientCertMode, usualSecurity } from '../../model/security.ts';
import { RetryBudget } from '../../policy/retry-budget.ts';
import type { HopTag } from '../../telemetry/context/hop-state.ts';
import { OpenRequests } from '../../telemetry/context/open-requests.ts';
import { TokenBucket } from '../../telemetry/metrics/keep-state.ts';
import type { ConnectionCounts } from '../../telemetry/metrics/metrics.ts';
import type { TelemetrySettings } from '../../telemetry/settings/settings.ts';
import { type TracingChoices, usualChoices } from '../../telemetry/settings/tracing-choices.ts';
import type { HotTelemetry } from '../../telemetry/telemetry.ts';
import { ExchangePool } from '../exchange/exchange-pool.ts';
import type { OriginalDestinationReader } from '../socket/original-destination.ts';
import { Slab, SlabPool } from '../socket/slab.ts';
import type { SocketSettings } from '../socket/socket-reads.ts';
import { WriteSlab } from '../socket/write-slab.ts';
import { CredentialStore } from './credential-store.ts';
import { HandshakeCrowd } from './handshake-crowd.ts';
import { HandshakeTurns } from './handshake-turns.ts';
import { InboundModes } from './inbound-modes.ts';
import type { LocalHop } from './local-hop.ts';
import { PeerList } from './peer-list.ts';
import { PlaintextCallers } from './plaintext-callers.ts';
import { VerdictMemory } from './verdict-memory.ts';
import { WarningLimit, WarningLimits } from './warning-limit.ts';

export type LogLevel = 'debug' | 'info' | 'warn' | 'error';

export interface ProxyOptions {
  readonly clock: Clock;
  readonly random: Random;
  readonly wakeUps: WakeUps;
  readonly limits: TrafficLimits;
  readonly telemetry: HotTelemetry;
  readonly log: (level: LogLevel, text: string) => void;
  /** Present when the kernel redirects connections to us. */
  readonly capture?: CaptureOptions;
  /** Who is believed in matters of traces, and what callers outside the mesh hear of them. */
  readonly tracing?: ProxyTracing;
  /** Who this workload is; absent where it has no identity and speaks nothing of the mesh. */
  readonly mesh?: MeshIdentity;
  /** What requests tell the application of who calls; `append` when absent. */
  readonly clientCertMode?: ClientCertMode;
  /** What is believed of callers from outside, at Gateways; nothing when absent. */
  readonly outside?: OutsideTrust;
}

export type ProxyTracing = Pick<TracingChoices, 'peers' | 'edge' | 'edgeResponseHeader'> &
  Partial<
    Pick<
      TelemetrySettings,
      'capturedHeaders' | 'correlationHeaders' | 'debugToken' | 'propagators' | 'untracedPaths'
    >
  >;

/** Captured connections: where they arrive and how their original destination is read. */
export interface CaptureOptions {
  readonly originalDestination: OriginalDestinationReader;
  /** Addresses of this pod beside loopback: what is sent to our ports there is sent to us. */
  readonly ownAddresses: readonly string[];
  /** 15001 and 15006; 0 asks the system (tests only). */
  readonly ports: { readonly outbound: number; readonly inbound: number };
}

/** Something that can be ended at once, whatever its state. */
export interface Endable {
  destroy(): void;
  /** Ends it after a bug of ours, where more can be said than `destroy` does. */
  endByBug?(): void;
}

/** Counted since start; for the admin page and for tests. */
export interface ScopeCounts {
  /** Connections closed at accept because `connectionsMax` were open. */
  refusedConnections: number;
  /** Times that the process had no descriptor left for an accepted connection. */
  acceptFailures: number;
  /** Assertion failures and other bugs; each ended one connection. */
  bugs: number;
  /** Attempts that repeated an exchange. */
  retries: number;
  /** Captured connections closed because their original destination is unreadable or ourselves. */
  refusedCaptures: number;
  /** TLS handshakes that came to nothing. */
  failedHandshakes: number;
  /** Keep messages that came, and those that were not taken whole. */
  keepMessages: number;
  keepRefused: number;
  /** Connections that became tunnels: 101 to a request that asked to switch protocols. */
  switches: number;
}

/** Who stands before our Gateways. */
export interface OutsideTrust {
  /** Proxies between the client and us that add to X-Forwarded-For and can be believed. */
  readonly trustedHops: number;
  /** Every connection begins with a PROXY header. */
  readonly takesProxyHeader: boolean;
}

const nobodyOutside: OutsideTrust = Object.freeze({ trustedHops: 0, takesProxyHeader: false });

/** What sidecars of the mesh say in place of a port (telemetry/context/hop-state.ts). */
export const NO_INBOUND_HALF = 1;

/** Most heads have less: so a head and a whole read fit into one write. */
const HEAD_BYTES = 8 * 1024;

export class ProxyScope {
  readonly clock: Clock;
  readonly random: Random;
  readonly wakeUps: WakeUps;
  readonly limits: TrafficLimits;
  readonly telemetry: HotTelemetry;
  readonly log: (level: LogLevel, text: string) => void;
  readonly deadlines: Deadlines;
  readonly sockets: SocketSettings;
  /** Where messages are put together; empty between two of them. */
  readonly out: WriteSlab;
  /** For tunnels through which much goes. */
  readonly tunnelSlabs: SlabPool;
  /** What captured connections turned out to speak, by original destination. */
  readonly verdicts: VerdictMemory;
  /** About those that spoke something else than what was declared. */
  readonly wrongProtocols: WarningLimit;
  /** About connections that REGISTRY_ONLY refuses, by name or address and port. */
  readonly denials: WarningLimits;
  /** About endpoints whose handshakes come to nothing, by address and port. */
  readonly tlsProblems: WarningLimits;
  readonly retryBudget: RetryBudget;
  /** Undefined where this workload has no identity. */
  readonly mesh: MeshIdentity | undefined;
  readonly clientCertMode: ClientCertMode;
  readonly outside: OutsideTrust;
  readonly credentials: CredentialStore = new CredentialStore();
  /** Who came without mutual TLS. */
  readonly plaintextCallers: PlaintextCallers;
  /** What inbound ports take, by the newest table. */
  inboundModes: InboundModes = new InboundModes(usualSecurity);
  readonly tracing: ProxyTracing;
  /** Whose sidecars are believed. */
  readonly peers: PeerList;
  /** Where keep messages for this process are answered: the port of its inbound half; 1: it has none. */
  callbackPort = NO_INBOUND_HALF;
  /** See TraceSelf (trace-headers.ts). */
  learnedFormats = 0;
  readonly openRequests: OpenRequests;
  readonly forcedSamples: TokenBucket = new TokenBucket();
  /** Leads to this very pod; undefined when inbound connections are not captured. */
  localHop: LocalHop | undefined = undefined;
  readonly inbound: ConnectionCounts;
  readonly outbound: ConnectionCounts;
  readonly counts: ScopeCounts;
  isDraining = false;
  /** The pod is ending: inbound answers carry `Connection: close`, everything else goes on. */
  isLeaving = false;
  /** When that began. */
  leftMs: Milliseconds = Number.POSITIVE_INFINITY;
  /** Connections ever taken, of every kind. */
  accepted = 0;
  /** TLS handshakes under way: connections that nobody else counts yet. */
  handshakes = 0;
  /** At gateways. */
  readonly handshakeTurns: HandshakeTurns;
  readonly handshakeCrowd: HandshakeCrowd;
  /** Sets of certificate files that are followed. */
  tlsSets = 0;
  readonly #inboundExchanges: ExchangePool;
  readonly #outboundExchanges: ExchangePool;
  readonly #hopTag: number;
  #connectionId = 0;

  constructor(options: ProxyOptions) {
    const { limits } = options;
    this.clock = options.clock;
    this.random = options.random;
    this.wakeUps = options.wakeUps;
    this.limits = limits;
    this.telemetry = options.telemetry;
    this.log = options.log;
    this.tracing = options.tracing ?? usualChoices;
    this.mesh = options.mesh;
    this.clientCertMode = options.clientCertMode ?? 'append';
    this.outside = options.outside ?? nobodyOutside;
    this.handshakeCrowd = new HandshakeCrowd(limits);
    this.handshakeTurns = new HandshakeTurns(options.wakeUps, limits.handshakesPerTurn);
    this.peers = new PeerList(this.tracing.peers);
    this.deadlines = new Deadlines(options.clock, options.wakeUps);
    // A read brings at most half of what may be held, and reading stops at half: so at most
    // `heldBytesMax` are held for one direction, whatever the peers do.
    const half = limits.heldBytesMax >> 1;
    this.sockets = { slab: new Slab(half), heldBytesMax: half };
    this.out = new WriteSlab(half + HEAD_BYTES);
    this.tunnelSlabs = new SlabPool(limits.heldBytesMax, limits.tunnelSlabsMax);
    this.verdicts = new VerdictMemory(limits.passthroughMax);
    this.wrongProtocols = new WarningLimit(this);
    this.denials = new WarningLimits(this);
    this.tlsProblems = new WarningLimits(this);
    this.retryBudget = new RetryBudget(
      limits.retryRatio,
      limits.retriesPerSecond,
      options.clock.now(),
    );
    this.inbound = options.telemetry.metrics.connectionGauge('inbound');
    this.outbound = options.telemetry.metrics.connectionGauge('outbound');
    this.plaintextCallers = new PlaintextCallers(limits.plaintextCallersMax);
    this.counts = {
      refusedConnections: 0,
      acceptFailures: 0,
      bugs: 0,
      retries: 0,
      refusedCaptures: 0,
      failedHandshakes: 0,
      keepMessages: 0,
      keepRefused: 0,
      switches: 0,
    };
    const { random } = options;
    this.#hopTag = random.u32() & 0xffff;
    this.openRequests = new OpenRequests(random.u32(), random.u32());
    this.#inboundExchanges = new ExchangePool(this);
    this.#outboundExchanges = new ExchangePool(this);
  }

  /** Downstream connections of every kind. */
  openConnections(): number {
    return this.inbound.downstreamOpen + this.outbound.downstreamOpen + this.handshakes;
  }

  countsOf(direction: Direction): ConnectionCounts {
    return direction === 'inbound' ? this.inbound : this.outbound;
  }

  exchangesOf(direction: Direction): ExchangePool {
    return direction === 'inbound' ? this.#inboundExchanges : this.#outboundExchanges;
  }

  /** By which requests tell that they have been here before: two sidecars have two, and so two ways. */
  hopTagOf(direction: Direction): HopTag {
    return direction === 'inbound' ? this.#hopTag : this.#hopTag ^ 0x8000;
  }

  /** A connection to a port of the workload came as it is. @param address its peer's, printed plainly */
  notePlaintext(address: string, port: number): void {
    this.inbound.plaintextTotal++;
    this.plaintextCallers.note(address, port, this.clock.epochMs + this.clock.now());
  }

  /** Counts up over both kinds of connection, from 1. */
  nextConnectionId(): number {
    this.#connectionId = (this.#connectionId + 1) | 0;
    return this.#connectionId;
  }

  /** A bug met inside a callback of `owner`: ends that one connection, counts and logs it. */
  containBug(owner: Endable, error: unknown): void {
    this.counts.bugs++;
    const text = error instanceof Error ? (error.stack ?? error.message) : String(error);
    this.log('error', `internal-error: a connection was ended by a bug: ${text}`);
    try {
      if (owner.endByBug === undefined) owner.destroy();
      else owner.endByBug();
    } catch (second) {
      this.log('error', `internal-error: ending that connection failed too: ${String(second)}`);
      if (owner.endByBug !== undefined) this.#destroy(owner);
    }
  }
  #destroy(owner: Endable): void {
    try {
      owner.destroy();
    } catch (third) {
      this.log('error', `internal-error: and so did cutting it: ${String(third)}`);
    }
  }
}
