/**
 * Every limit of traffic and configuration, with its default and its reason. Others stand beside it.
 *
 * Units come last in a name. `assertLimits` checks how they must relate and runs at start. Sources:
 * reference/reliability.md section 5 unless a line says otherwise.
 */

import { assert } from '../base/assert.ts';

/** One connection and one message. */
export interface TrafficLimits {
  /** Start line and fields of one head. Envoy allows 60 KiB, HAProxy 15, Node.js 16. */
  readonly headBytesMax: number;
  readonly headFieldsMax: number;
  /** A field name; longer ones are attacks. */
  readonly fieldNameBytesMax: number;
  /** All values of Connection together: looking up what it names is what makes a long one dear. */
  readonly connectionBytesMax: number;
  /** Request-target; more is 414. */
  readonly targetBytesMax: number;
  /** Extensions of one chunk, and of all chunks of one message. They are dropped. */
  readonly chunkExtensionBytesMax: number;
  readonly messageExtensionBytesMax: number;
  readonly trailerBytesMax: number;
  readonly trailerFieldsMax: number;
  /** Interim (1xx) responses relayed before the final one. */
  readonly interimResponsesMax: number;
  /** Bytes held for one direction of one exchange: reading stops at half, a read brings the rest. */
  readonly heldBytesMax: number;
  /** From the first byte of a request head to its end; and silence before it on a new connection. */
  readonly headTimeoutMs: number;
  /** Between two requests on a kept downstream connection. */
  readonly keepAliveIdleMs: number;
  /** A body that makes no progress at all. */
  readonly bodyIdleMs: number;
  /** A body below `bodyRateBytesPerSecondMin` over this window is cut with 408. */
  readonly bodyRateWindowMs: number;
  readonly bodyRateBytesPerSecondMin: number;
  /**
   * TCP connect to an upstream endpoint, where nobody has set one: a kernel sends a lost SYN, or one
   * that met a full accept queue, again after 1, 3 and 7 s, and without us the caller would wait.
   */
  readonly connectTimeoutMs: number;
  /** To one that is left for another when it does not answer. */
  readonly connectElsewhereMs: number;
  /** To the own application. */
  readonly connectLocalTimeoutMs: number;
  /** From the first byte of a response head to its end. */
  readonly responseHeadTimeoutMs: number;
  /** No byte either way on an exchange under way. */
  readonly streamIdleMs: number;
  /** An idle upstream connection; below Node.js servers' own 5 s. */
  readonly poolIdleMs: number;
  readonly poolIdlePerEndpointMax: number;
  /**
   * Requests under way to one endpoint, and waiting for one. More is `overflow`. Nobody has asked for a
   * limit, so neither is met before that of connections.
   */
  readonly inFlightPerEndpointMax: number;
  readonly pendingPerClusterMax: number;
  /** Open downstream connections of the process; more are closed at accept. */
  readonly connectionsMax: number;
  /** Open connections that the admin page lists: making the list holds traffic up. */
  readonly connectionsShownMax: number;
  /** How long `accept` pauses when the process has no descriptor left. */
  readonly acceptPauseMs: number;
  /** After SIGTERM: the whole time that work under way may take. */
  readonly drainMs: number;
  /**
   * The first part of it, in which callers still come because endpoint lists follow late. It is kept
   * whole, however quiet it is: nobody can tell that the last list has followed.
   */
  readonly drainListenMs: number;
  /** The application may reach others until it has done nothing for this long, its callers gone. */
  readonly drainQuietMs: number;
  /** After an answer that ends a connection: how long the peer's unread bytes are drained. */
  readonly lingerMs: number;
  /** Retries may be this share of the requests plus this many a second. */
  readonly retryRatio: number;
  readonly retriesPerSecond: number;
  /** While draining, a kept connection is closed when it has been idle this long. */
  readonly drainIdleMs: number;
  /** Connect to where a captured connection was going anyway: a lost SYN or two may pass. */
  readonly connectPassthroughMs: number;
  /** Silence on a captured connection that is expected to be HTTP, before the server is asked. */
  readonly detectSilenceMs: number;
  /** From the first byte of something that looks like a request line to its end. */
  readonly detectLineMs: number;
  /** No byte either way on a relayed (opaque) connection. */
  readonly opaqueIdleMs: number;
  /** A relayed connection that lives longer asks the system to look whether its peers are there. */
  readonly tunnelYoungMs: number;
  /** Idle before the system asks a peer, and between its questions; and how many without an answer. */
  readonly tunnelKeepAliveMs: number;
  readonly tunnelProbesMax: number;
  /** Relayed directions that may read 64 KiB at a time, into memory of their own; others copy. */
  readonly tunnelSlabsMax: number;
  /** Of a direction, kept ready for connections that become busy. */
  readonly exchangesFreeMax: number;
  /** A captured connection that came before there was a table waits this long for one. */
  readonly parkMs: number;
  /** Original destinations remembered with their connections, and for how long without a request. */
  readonly passthroughMax: number;
  readonly passthroughIdleMs: number;
  /** A TLS handshake from accept to its end. */
  readonly tlsHandshakeMs: number;
  /**
   * Of those that have begun with the outside, at a time and of one address: the oldest goes when there
   * is one more. Each that stalls costs 43 to 77 KB.
   */
  readonly tlsHandshakesMax: number;
  readonly tlsHandshakesPerAddressMax: number;
  /** Handshakes at gateways that begin in one turn of the loop: with RSA each takes 1 ms of CPU. */
  readonly handshakesPerTurn: number;
  /** How often certificate files are looked at. */
  readonly tlsPollMs: number;
  /**
   * A gateway of many names has many sets of them: so many are looked at a second, then each more seldom,
   * but at least this often. A look at two files takes 25 us of CPU (2026-11-26).
   */
  readonly tlsPollsPerSecond: number;
  readonly tlsPollMaxMs: number;
  /**
   * Where a server may speak first, its words wait so long for a ClientHello of the mesh: a sidecar sends
   * one as soon as it is connected, but its process may be held up. The second: where the caller has
   * come without until now.
   */
  readonly meshHelloMs: number;
  readonly meshHelloAgainMs: number;
  /**
   * Handshakes of the mesh: begun in a turn of the loop (one takes half a millisecond of the thread that
   * serves everybody), under way, and waiting for their turn; more are closed.
   */
  readonly meshHandshakesPerTurn: number;
  readonly meshHandshakesMax: number;
  readonly meshHandshakesWaitingMax: number;
  /** Of one IP address, which many sidecars may share: under way, and waiting. */
  readonly meshHandshakesPerAddressMax: number;
  readonly meshWaitingPerAddressMax: number;
  /** What a handshake has, from when it begins, while others wait for its place. */
  readonly meshHandshakePatienceMs: number;
  /** For how long a session of the mesh may be resumed, with the certificates that it began with. */
  readonly meshSessionMs: number;
  /** What a peer of the mesh may say in x-forwarded-client-cert of its callers; ours says up to 1 KiB. */
  readonly clientCertBytesMax: number;
  readonly clientCertElementsMax: number;
  /** After a new own certificate: connections of the old one go on, then those that are relayed may close. */
  readonly meshDrainMs: number;
  readonly meshEndMs: number;
  /** Callers without mutual TLS that are remembered, each address and port apart. */
  readonly plaintextCallersMax: number;
  /** Between two attempts to open a listener whose port is taken. */
  readonly listenRetryMs: number;
  /** The same where one of ours must give its address up for the attempt and callers notice. */
  readonly listenRoomMs: number;
  /** A listening socket is closed when nothing has come for this long, and after that in any case. */
  readonly acceptQuietMs: number;
  readonly acceptLastMs: number;
  /** After the listeners are open, before ready: how long synthetic exchanges may run. */
  readonly warmUpMs: number;
  /** Between two warnings of one kind about refused connections. */
  readonly refusalWarningMs: number;
  /** Of one kind: subjects (destinations, for example) that have such a warning each; all others share one. */
  readonly warnedSubjectsMax: number;
}

export const trafficLimits: TrafficLimits = Object.freeze({
  headBytesMax: 64 * 1024,
  headFieldsMax: 256,
  fieldNameBytesMax: 256,
  connectionBytesMax: 1_024,
  targetBytesMax: 8 * 1024,
  chunkExtensionBytesMax: 256,
  messageExtensionBytesMax: 16 * 1024,
  trailerBytesMax: 8 * 1024,
  trailerFieldsMax: 32,
  interimResponsesMax: 8,
  heldBytesMax: 64 * 1024,
  headTimeoutMs: 10_000,
  keepAliveIdleMs: 75_000,
  bodyIdleMs: 30_000,
  bodyRateWindowMs: 10_000,
  bodyRateBytesPerSecondMin: 256,
  connectTimeoutMs: 10_000,
  connectElsewhereMs: 1_000,
  connectLocalTimeoutMs: 10_000,
  responseHeadTimeoutMs: 15_000,
  streamIdleMs: 300_000,
  poolIdleMs: 4_000,
  poolIdlePerEndpointMax: 256,
  inFlightPerEndpointMax: 10_000,
  pendingPerClusterMax: 10_000,
  connectionsMax: 10_000,
  connectionsShownMax: 500,
  acceptPauseMs: 100,
  drainMs: 25_000,
  drainListenMs: 5_000,
  drainQuietMs: 1_500,
  lingerMs: 1_000,
  retryRatio: 0.2,
  retriesPerSecond: 10,
  drainIdleMs: 1_000,
  connectPassthroughMs: 10_000,
  detectSilenceMs: 200,
  detectLineMs: 3_000,
  opaqueIdleMs: 3_600_000,
  tunnelYoungMs: 5_000,
  tunnelKeepAliveMs: 10_000,
  tunnelProbesMax: 6,
  tunnelSlabsMax: 64,
  exchangesFreeMax: 128,
  parkMs: 60_000,
  passthroughMax: 1_024,
  passthroughIdleMs: 60_000,
  tlsHandshakeMs: 5_000,
  tlsHandshakesMax: 1_000,
  tlsHandshakesPerAddressMax: 500,
  handshakesPerTurn: 4,
  tlsPollMs: 250,
  tlsPollsPerSecond: 400,
  tlsPollMaxMs: 800,
  meshHelloMs: 300,
  meshHelloAgainMs: 20,
  meshHandshakesPerTurn: 4,
  meshHandshakesMax: 256,
  meshHandshakesWaitingMax: 2_048,
  meshHandshakesPerAddressMax: 128,
  meshWaitingPerAddressMax: 1_024,
  meshHandshakePatienceMs: 500,
  meshSessionMs: 3_600_000,
  clientCertBytesMax: 4_096,
  clientCertElementsMax: 8,
  meshDrainMs: 3_600_000,
  meshEndMs: 5_000,
  plaintextCallersMax: 512,
  listenRetryMs: 1_000,
  listenRoomMs: 60_000,
  acceptQuietMs: 5,
  acceptLastMs: 2_000,
  warmUpMs: 700,
  refusalWarningMs: 60_000,
  warnedSubjectsMax: 32,
});

/** Configuration as people write it. */
export interface ConfigLimits {
  readonly fileBytesMax: number;
  readonly filesMax: number;
  /** YAML aliases in one document: stops alias bombs. */
  readonly aliasesMax: number;
  readonly regexBytesMax: number;
  /** A file system that changes all the time is read at most this often. */
  readonly reloadDebounceMs: number;
  /** How often the folder is looked at beside the kernel's notices, which can be lost. */
  readonly reloadPollMs: number;
  readonly diagnosticsMax: number;
  /** Characters of all files from which a compiler's thread lasts: about a hundred rules. */
  readonly largeTextMin: number;
  /** Custom tags of a Telemetry, and characters of a literal one: every span carries them. */
  readonly customTagsMax: number;
  readonly customTagLengthMax: number;
}

export const configLimits: ConfigLimits = Object.freeze({
  fileBytesMax: 10 * 1024 * 1024,
  filesMax: 4_096,
  aliasesMax: 100,
  regexBytesMax: 1_024,
  reloadDebounceMs: 50,
  reloadPollMs: 1_000,
  diagnosticsMax: 1_000,
  largeTextMin: 24 * 1024,
  customTagsMax: 16,
  customTagLengthMax: 1_024,
});

/** Checks the relations that the code relies on. Throws AssertionFailure. */
export function assertLimits(limits: TrafficLimits): void {
  assert(limits.targetBytesMax < limits.headBytesMax, 'a target must fit into a head');
  assert(limits.fieldNameBytesMax < limits.headBytesMax, 'a field name must fit into a head');
  assert(limits.poolIdleMs < limits.keepAliveIdleMs, 'we retire upstream connections first');
  assert(limits.drainListenMs < limits.drainMs, 'what came last has time to finish');
  assert(
    limits.tlsHandshakesPerAddressMax < limits.tlsHandshakesMax,
    'one address leaves room for others',
  );
  assert(limits.tlsPollMs <= limits.tlsPollMaxMs, 'few certificates are looked at oftener');
  assert(limits.meshHelloAgainMs <= limits.meshHelloMs, 'known callers are waited for no longer');
  assert(limits.meshHelloMs < limits.tlsHandshakeMs, 'a ClientHello leaves time for the handshake');
  assert(limits.clientCertBytesMax < limits.headBytesMax, 'it is a part of a head');
  assert(limits.drainQuietMs < limits.drainListenMs, 'a quiet proxy ends when it has listened on');
  assert(
    limits.acceptQuietMs < limits.acceptLastMs,
    'callers that go on do not hold a socket open',
  );
  assert(
    Math.min(limits.inFlightPerEndpointMax, limits.pendingPerClusterMax) >= limits.connectionsMax,
    'an endpoint gets what the connections bring',
  );
  assert(
    limits.connectElsewhereMs < limits.connectTimeoutMs,
    'an endpoint is left sooner where there is another',
  );
}
