/**
 * A captured connection until it is known what is spoken on it, and while it is relayed unread.
 *
 *   Waiting ──a request line──► Http: a DownstreamConnection has it from here
 *      ├──any other first bytes, or the server speaks first──► Opaque: a ByteTunnel has it
 *      └──gone──► Closed
 *
 *   what is expected (first-move.ts)   the original destination is dialled
 *   relayed anyway                     at once, and nothing is read
 *   HTTP, by what is known of it       by the first request, or after a silence
 *   unknown, or HTTP by the port alone at once, so that a server that speaks first is heard
 *
 * A connection dialled for nothing is not wasted: the first request takes it. The dial goes out before
 * anything else is made ready, and what is said meanwhile is held. Nothing that the downstream has sent
 * is ever lost or changed. Where rules ask for the name of a ClientHello it is read
 * before the choice (connection-choice.ts).
 */

import type { Socket } from 'node:net';
import { Deadline, type DeadlineOwner } from '../../base/deadlines.ts';
import { type Failure, failure } from '../../model/failure.ts';
import { UNREAD_NAME } from '../../policy/caller.ts';
import type { ConnectionCounts } from '../../telemetry/metrics/metrics.ts';
import { Detected } from '../../telemetry/record/detection.ts';
import { ClientHelloReader, HANDSHAKE_RECORD, HelloState } from '../../wire/client-hello.ts';
import { Patience, Protocol, ProtocolDetector } from '../../wire/detect.ts';
import { DownstreamConnection } from '../exchange/downstream-connection.ts';
import { chooseConnection, isFailure } from '../plan/connection-choice.ts';
import type { Endable, ProxyScope } from '../scope/proxy-scope.ts';
import { noteVerdict, type VerdictEntry } from '../scope/verdict-memory.ts';
import { ByteHold } from '../socket/byte-hold.ts';
import { plainAddress } from '../socket/print-address.ts';
import { type Arrival, adoptSocket, type ByteTaker, resetSocket } from '../socket/socket-reads.ts';
import { keepUrgentData } from '../socket/urgent-data.ts';
import { ByteTunnel, type TunnelOwner } from '../tunnel/byte-tunnel.ts';
import { ConnectionLease } from '../tunnel/connection-lease.ts';
import { ConnectionReport } from '../tunnel/connection-report.ts';
import { connectFailure } from '../upstream/connect-failure.ts';
import {
  UpstreamConnection,
  UpstreamState,
  type UpstreamUser,
} from '../upstream/upstream-connection.ts';
import type { CaptureOwner } from './capture-owner.ts';
import { isDenial, judgeConnection, needsName, noteConnection } from './connection-guard.ts';
import { denialSubject, printDenial } from './denied.ts';
import { FirstMove, howDetected, openingMoveOf, warnOfWrong } from './first-move.ts';

const CaptureState = { Waiting: 0, Http: 1, Opaque: 2, Closed: 3 } as const;

export class CapturedConnection
  implements ByteTaker, DeadlineOwner, Endable, TunnelOwner, UpstreamUser
{
  readonly socket: Socket;
  readonly report: ConnectionReport;
  readonly #scope: ProxyScope;
  readonly #owner: CaptureOwner;
  readonly #counts: ConnectionCounts;
  readonly #deadline: Deadline = new Deadline(this);
  /** What the connections before this one spoke. */
  readonly #memory: VerdictEntry;
  readonly #firstMove: number;
  /** From the first byte on. */
  #detector: ProtocolDetector | undefined;
  /** First bytes, while they may still become a request line. */
  readonly #hold = new ByteHold();
  #state: number = CaptureState.Waiting;
  #upstream: UpstreamConnection | undefined;
  /** The endpoint that was chosen, from the first dial on. */
  #lease: ConnectionLease | undefined;
  /** What it turned out to be, while the endpoint is being dialled; its bytes are held. */
  #awaited: number | undefined;
  /** As much is held as may be; nothing is read. */
  #isFull = false;
  #isPeerNoted = false;
  /** FIN has come before there was anybody to pass it on to. */
  #hasEnded = false;
  /** The listener has gone, and what it took is waited for no longer than this once. */
  #isLastWait = false;
  /** Why the destination could not be reached. */
  #failed: Failure | undefined;
  /** Who has the bytes once it is known what they are. */
  #next: ByteTaker | undefined;
  #tunnel: ByteTunnel | undefined;
  /** Reads along while a ClientHello is relayed. */
  #hello: ClientHelloReader | undefined;
  #isHelloRead = false;
  /** Of the name in its ClientHello, where policies look at it: there is one that could not be read. */
  #isNameUnread = false;

  constructor(scope: ProxyScope, owner: CaptureOwner, arrival: Arrival) {
    const { direction, destination } = owner;
    const now = scope.clock.now();
    this.#scope = scope;
    this.#owner = owner;
    this.#counts = scope.countsOf(direction);
    this.#memory = scope.verdicts.entryOf(destination.address, destination.port);
    this.#firstMove = openingMoveOf(owner, this.#memory);
    // Nothing that can wait stands before the dial: the peer answers meanwhile.
    if (this.#firstMove !== FirstMove.Wait) this.#choose('', arrival.socket);
    this.#counts.downstreamOpen++;
    this.report = new ConnectionReport(scope, direction, now);
    if (owner.isMuted) this.report.mute();
    this.socket = adoptSocket(arrival.socket, this, scope.sockets);
    this.#listen();
    if (this.#upstream === undefined) {
      this.#notePeer();
      this.#wakeIn(scope.limits.detectSilenceMs);
    } else {
      this.report.dialled(now, this.#lease!);
      // The turn after this one brings the peer's answer and the first bytes.
      const { wakeUps } = scope;
      wakeUps.after(0, () => wakeUps.after(0, () => this.#guard(() => this.#settle())));
    }
    if (this.#firstMove !== FirstMove.Relay) return;
    if (this.#failed !== undefined) this.#wakeIn(0);
    else this.#relay(owner.declared === 'http2' ? Detected.Http2 : Detected.Other);
  }

  /** What could wait until the first bytes were on their way. */
  #settle(): void {
    if (this.#state !== CaptureState.Waiting) return;
    this.#notePeer();
    const isTimed = this.#hold.length > 0 || this.#isLastWait || this.#failed !== undefined;
    if (!isTimed) this.#wakeIn(this.#scope.limits.opaqueIdleMs);
  }

  /** While the peer is there to be asked. */
  #notePeer(): void {
    if (this.#isPeerNoted) return;
    this.#isPeerNoted = true;
    const { destination, known } = this.#owner;
    this.report.from(this.socket, destination);
    if (known !== undefined) this.report.record.destinationId = known.nameId;
  }

  /** Bytes that wait to be sent upstream. */
  get requestHeldBytes(): number {
    return this.#hold.length + (this.#upstream?.socket.writableLength ?? 0);
  }

  onBytes(chunk: Buffer): void {
    if (this.#next === undefined) {
      this.#guard(() => this.#detect(chunk));
      return;
    }
    if (this.#hello !== undefined) this.#guard(() => this.#readHello(chunk));
    this.#next.onBytes(chunk);
  }

  /** Silence, short or for an hour, or a request line or a ClientHello that does not end. */
  onDeadline(): void {
    this.#guard(() => {
      if (this.#state === CaptureState.Opaque) this.#endHello();
      else if (this.#isLastWait && this.#hold.length === 0) this.destroy();
      else if (this.#failed !== undefined) this.#giveUp(this.#failed);
      else if (this.#isNameAwaited) this.#giveUp(failure['request-head-timeout'], Detected.Tls);
      else if (this.#hold.length > 0) this.#relay(this.#verdictSoFar());
      else if (this.#upstream === undefined) this.#dial();
      else this.#giveUp(failure['stream-idle-timeout']);
    });
  }

  /** Draining: nobody waits for a connection on which nothing has been said. */
  retire(): void {
    if (this.#state !== CaptureState.Waiting || this.#hold.length > 0) return;
    if (this.#awaited !== undefined) return;
    this.#isLastWait = true;
    this.#wakeIn(this.#scope.limits.drainIdleMs);
  }

  /** Its port takes mutual TLS alone by now: who came without is cut. */
  endRefused(): void {
    if (this.#owner.isRefusing) this.destroy();
  }

  /** Ends at once, by RST on both sides. */
  destroy(): void {
    this.#tunnel?.destroy();
    if (this.#state === CaptureState.Waiting) this.#cut(undefined);
  }

  onTunnelClosed(): void {
    this.#endHello();
    this.#lease?.end();
    this.#state = CaptureState.Closed;
    this.#owner.onCapturedClosed(this);
  }

  onUpstreamConnected(): void {
    const { socket } = this.#upstream!;
    this.report.connected(this.#upstream!);
    const awaited = this.#awaited;
    if (awaited !== undefined) {
      this.#awaited = undefined;
      // Before the tunnel has it, which may stop it again.
      if (this.#isFull) this.socket.resume();
      this.#isFull = false;
      this.#relay(awaited);
    }
    // Before anything is read, which the next turn does: too late would lose a byte. What has been said
    // goes out first.
    this.#scope.wakeUps.after(0, () => keepUrgentData(socket));
  }

  /** The server speaks first. */
  onUpstreamBytes(chunk: Buffer): void {
    this.#relay(Detected.ServerFirst)?.onUpstreamBytes(chunk);
  }

  onUpstreamDrained(): void {
    // Nothing has been sent.
  }

  onUpstreamEnded(): void {
    this.#relay(this.#verdictSoFar())?.onUpstreamEnded();
  }

  onUpstreamLost(code: string): void {
    this.report.lost(this.#upstream!);
    this.#upstream = undefined;
    if (this.report.isConnected) this.#giveUp(failure['upstream-reset']);
    else this.#onUnreached(connectFailure(code));
  }

  onConnectTimeout(): void {
    if (this.#upstream !== undefined) this.report.lost(this.#upstream);
    this.#upstream?.destroy(true);
    this.#upstream = undefined;
    this.#onUnreached(failure['connect-timeout']);
  }

  /** Whoever speaks HTTP learns the cause from an answer, so its first bytes are waited for. */
  #onUnreached(why: Failure): void {
    const lease = this.#lease;
    if (lease?.mayDialAgain === true) {
      const now = this.#scope.clock.now();
      this.#connect(lease);
      if (this.#failed === undefined) this.report.dialled(now, lease);
      else this.#wakeIn(this.#scope.limits.detectSilenceMs);
      return;
    }
    this.#failed = why;
    if (this.#awaited !== undefined) this.#giveUp(this.#failed);
    else if (this.#hold.length === 0) this.#wakeIn(this.#scope.limits.detectSilenceMs);
  }

  #listen(): void {
    const { socket } = this;
    socket.on('end', () => {
      if (this.#state === CaptureState.Waiting) this.#guard(() => this.#onPeerEnded());
    });
    // What was wrong does not matter here: 'close' follows.
    socket.on('error', () => undefined);
    socket.on('close', () => {
      if (this.#state === CaptureState.Waiting) this.#cut(failure['client-gone']);
    });
  }

  #guard(call: () => void): void {
    try {
      call();
    } catch (error) {
      this.#scope.containBug(this, error);
    }
  }

  #wakeIn(ms: number): void {
    this.#scope.deadlines.set(this.#deadline, this.#scope.clock.now() + ms);
  }

  #detect(chunk: Buffer): void {
    if (this.#state !== CaptureState.Waiting) return;
    if (this.#owner.isUnheard && this.#hold.length === 0 && chunk[0] === HANDSHAKE_RECORD) {
      this.#handBack(chunk);
      return;
    }
    if (this.#awaited !== undefined) {
      this.#holdMore(chunk);
      return;
    }
    if (this.#hello !== undefined) {
      this.#hold.append(chunk, 0, chunk.length);
      this.#awaitName(chunk);
      return;
    }
    const isFirst = this.#hold.length === 0;
    this.#detector ??= new ProtocolDetector(this.#scope.limits.targetBytesMax);
    const detector = this.#detector;
    const { patience } = detector;
    const verdict = detector.feed(chunk);
    if (isFirst && verdict === Protocol.Http1) {
      this.#becomeHttp().onBytes(chunk);
      return;
    }
    if (isFirst && verdict === Protocol.Other) {
      this.#relay(Detected.Other, chunk);
      return;
    }
    this.#hold.append(chunk, 0, chunk.length);
    if (verdict === Protocol.Http1) {
      this.#becomeHttp().onBytes(this.#hold.view());
      this.#hold.clear();
    } else if (verdict === Protocol.Http2) this.#relay(Detected.Http2);
    else if (verdict === Protocol.Tls) this.#relayTls(isFirst);
    else if (verdict === Protocol.Other) this.#relay(Detected.Other);
    else if (isFirst || detector.patience !== patience) this.#awaitMore(detector.patience);
  }

  /** From the first bytes on, and again when they promise less. @param patience `Patience` */
  #awaitMore(patience: number): void {
    const { detectLineMs, detectSilenceMs, headTimeoutMs } = this.#scope.limits;
    if (this.#isNameAwaited) this.#wakeIn(headTimeoutMs);
    else if (patience === Patience.None) this.#relay(Detected.Other);
    else this.#wakeIn(patience === Patience.Line ? detectLineMs : detectSilenceMs);
  }

  /** Where a name decides, what begins as TLS is not let go without it. */
  get #isNameAwaited(): boolean {
    return this.#hold.view()[0] === HANDSHAKE_RECORD && needsName(this.#owner);
  }

  /** While it is awaited that somebody takes them. */
  #holdMore(chunk: Buffer): void {
    this.#hold.append(chunk, 0, chunk.length);
    if (this.#hello !== undefined) this.#readHello(chunk);
    if (this.#hold.length < this.#scope.sockets.heldBytesMax) return;
    this.#isFull = true;
    this.socket.pause();
  }

  /** It may be mutual TLS after all: nothing has been sent to anybody. */
  #handBack(chunk: Buffer): void {
    this.#spare();
    this.#counts.downstreamOpen--;
    this.#scope.deadlines.remove(this.#deadline);
    this.#state = CaptureState.Closed;
    this.#owner.onLateHello(this, chunk);
  }

  #becomeHttp(): DownstreamConnection {
    const scope = this.#scope;
    this.#decide(Detected.Http1);
    this.#state = CaptureState.Http;
    this.#spare();
    const http = new DownstreamConnection(scope, this.#owner, this.socket, (socket) => socket);
    this.#next = http;
    this.#owner.onHttp(this, http);
    return http;
  }

  /** The rules of some destinations ask for a name; the others are not held up by it. */
  #relayTls(isFirst: boolean): void {
    this.#hello = new ClientHelloReader();
    if (this.#isNameAwaited) {
      if (isFirst) this.#awaitMore(Patience.Line);
      // What was dialled in a race was chosen without the name.
      this.#spare();
      this.#failed = undefined;
      this.#awaitName(this.#hold.view());
      return;
    }
    this.#readHello(this.#hold.view());
    this.#relay(Detected.Tls);
  }

  #awaitName(chunk: Buffer): void {
    this.#readHello(chunk);
    if (this.#hello === undefined) this.#relay(Detected.Tls);
  }

  #readHello(chunk: Buffer): void {
    const hello = this.#hello!;
    const state = hello.feed(chunk);
    if (state === HelloState.More) return;
    this.#isHelloRead = state === HelloState.Done;
    this.report.hello(hello.serverName, hello.alpn);
    this.#endHello();
  }

  /** It has been read, or nobody waits for its end any longer: what there is of it is memory. */
  #endHello(): void {
    if (this.#hello === undefined) return;
    this.#hello = undefined;
    if (this.#state !== CaptureState.Waiting) this.#scope.deadlines.remove(this.#deadline);
  }

  /** Nobody here needs the upstream: its pool may lend it. */
  #spare(): void {
    this.#upstream?.spare(this.#scope.clock.now());
    this.#upstream = undefined;
    this.#lease?.end();
    this.#lease = undefined;
    this.report.isConnected = false;
  }

  /**
   * Both ends are a tunnel's from here on. `said`: what the downstream has said, unless it is held.
   * Where connecting has failed there is nobody to relay to.
   */
  #relay(detected: number, said?: Buffer): ByteTunnel | undefined {
    if (this.#state !== CaptureState.Waiting) return this.#tunnel;
    if (this.#upstream === undefined && this.#failed === undefined) this.#dial();
    if (this.#failed !== undefined) {
      this.#giveUp(this.#failed, detected);
      return undefined;
    }
    if (this.#upstream!.state === UpstreamState.Connecting) {
      this.#awaited = detected;
      if (said !== undefined) this.#hold.append(said, 0, said.length);
      return undefined;
    }
    const ends = { downstream: this.socket, upstream: this.#upstream! };
    const { opaqueIdleMs } = this.#scope.limits;
    const first = this.#hold.length === 0 ? said : this.#hold.view();
    const tunnel = new ByteTunnel(this.#scope, ends, this.report, this, opaqueIdleMs, first);
    this.#hold.clear();
    this.#notePeer();
    this.#noteGuard();
    this.#decide(detected);
    this.#counts.downstreamTotal++;
    this.#state = CaptureState.Opaque;
    this.#tunnel = tunnel;
    this.#next = tunnel;
    if (this.#hello !== undefined) this.#wakeIn(this.#scope.limits.headTimeoutMs);
    if (this.#hasEnded) tunnel.onDownstreamEnded();
    return tunnel;
  }

  /** It is known what is spoken: the end of waiting. */
  #decide(detected: number, isDenied = false): void {
    const scope = this.#scope;
    const by = howDetected(this.#firstMove, this.#owner.httpExpected, detected);
    this.#owner.noteHeard(plainAddress(this.socket.remoteAddress ?? ''));
    this.#detector = undefined;
    this.#counts.downstreamOpen--;
    scope.deadlines.remove(this.#deadline);
    this.report.detected(detected, by);
    if (this.#firstMove !== FirstMove.Relay) noteVerdict(this.#memory, detected);
    if (!isDenied) warnOfWrong(scope, this.#owner, detected);
  }

  #onPeerEnded(): void {
    this.#hasEnded = true;
    if (this.#awaited === undefined) this.#relay(this.#verdictSoFar());
  }

  /** Of one that ends before it has said enough. */
  #verdictSoFar(): number {
    if (this.#awaited !== undefined) return this.#awaited;
    if (this.#hello !== undefined) return Detected.Tls;
    return this.#hold.length > 0 ? Detected.Other : Detected.Silent;
  }

  /** Resets the downstream: what it would have met without us is a refused connection. */
  #giveUp(what: Failure, detected = this.#verdictSoFar()): void {
    if (what === failure['egress-denied']) this.#warnOfDenial(detected);
    this.#cut(what, detected);
  }

  /** Whoever does not speak HTTP learns nothing but the RST. */
  #warnOfDenial(detected: number): void {
    const protocol = detected === Detected.Tls ? 'TLS' : 'TCP';
    const { destination } = this.#owner;
    const { serverName } = this.report;
    const text = printDenial(serverName, destination, protocol);
    this.report.detail = text;
    this.#scope.denials.warn(denialSubject(serverName, destination), `outbound: ${text}`);
  }

  /** What policies say of a connection that is none of HTTP. */
  #noteGuard(): void {
    const { serverName, record } = this.report;
    const { inboundModes, telemetry } = this.#scope;
    if (this.#failed === failure['no-identity']) {
      inboundModes.note(this.#owner.port, record, telemetry.names);
    }
    const asked = this.#isNameUnread ? UNREAD_NAME : serverName;
    const denied = noteConnection(this.#scope, this.#owner, this.socket, asked, record);
    if (denied !== '') this.report.detail = denied;
  }

  /** Ends both sides while it is ours. */
  #cut(what: Failure | undefined, detected = this.#verdictSoFar()): void {
    this.#notePeer();
    if (isDenial(what)) this.#noteGuard();
    this.#decide(detected, isDenial(what));
    this.#state = CaptureState.Closed;
    this.#counts.downstreamTotal++;
    this.#upstream?.destroy(true);
    this.#lease?.end();
    resetSocket(this.socket);
    this.#hold.clear();
    this.#owner.onCapturedClosed(this);
    this.report.finish(what);
  }

  /** Dials where it goes; where nothing can be chosen `#failed` says why. */
  #dial(): void {
    const now = this.#scope.clock.now();
    this.#choose(this.report.serverName, this.socket);
    this.#noteDial(now);
  }

  /** Needs nothing but the owner: it is the first that is done. */
  #choose(serverName: string, socket: Socket): void {
    const owner = this.#owner;
    this.#isNameUnread = !this.#isHelloRead && this.#isNameAwaited;
    const denied = judgeConnection(owner, socket, this.#isNameUnread ? UNREAD_NAME : serverName);
    const choice = denied ?? chooseConnection(owner, serverName);
    if (isFailure(choice)) {
      this.#failed = choice;
      return;
    }
    this.#lease = new ConnectionLease(this.#scope, this.#counts, this, choice);
    this.#connect(this.#lease);
  }

  #connect(lease: ConnectionLease): void {
    const dialled = lease.dial();
    if (dialled instanceof UpstreamConnection) this.#upstream = dialled;
    else this.#failed = dialled;
  }

  /** What follows on a dial at `atMs`, or on a choice that came to nothing. */
  #noteDial(atMs: number): void {
    const { detectSilenceMs, opaqueIdleMs } = this.#scope.limits;
    this.#wakeIn(this.#failed === undefined ? opaqueIdleMs : detectSilenceMs);
    if (this.#failed === undefined) this.report.dialled(atMs, this.#lease!);
  }
}
