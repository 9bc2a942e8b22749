/**
 * TLS of downstreams, ended here: one for each set of files, shared by listeners, kept across tables.
 *
 * It takes an accepted socket and gives back a secure one, or ends it: nobody's plaintext, a
 * handshake that takes too long, a client certificate that is missing or wrong. New files serve new
 * handshakes; connections made with the old ones live on.
 */

import type { Socket } from 'node:net';
import { createServer, type SecureContextOptions, type Server, type TLSSocket } from 'node:tls';
import type { Milliseconds } from '../../base/clock.ts';
import { Deadline, type DeadlineOwner } from '../../base/deadlines.ts';
import type { ListenerTls } from '../../model/routing-table.ts';
import type { Handshaker } from '../scope/handshake-crowd.ts';
import type { ProxyScope } from '../scope/proxy-scope.ts';
import { WarningLimit } from '../scope/warning-limit.ts';
import { plainAddress } from '../socket/print-address.ts';
import type { ByteTaker } from '../socket/socket-reads.ts';
import { isShownFor } from './shown-certificate.ts';
import { pollDelayMs, type ServedCertificate, TlsFiles } from './tls-files.ts';

/** Of a TLSSocket that a `tls.Server` made: the socket beneath (Node.js keeps it under this name). */
interface WithParent {
  readonly _parent: Socket | null;
}

/** For `DownstreamConnection`: reads a secure socket, which has no memory of ours to read into. */
export function readSecure(secure: Socket, taker: ByteTaker): Socket {
  secure.on('data', (chunk: Buffer) => taker.onBytes(chunk));
  return secure;
}

/** Settings with the same key share one TlsServer. */
export function tlsKey(settings: ListenerTls): string {
  const { mode, certificateFile, keyFile, otherPairs, caFile, minVersion, ciphers } = settings;
  const { subjectAltNames } = settings;
  const others = otherPairs?.map((pair) => [pair.certificateFile, pair.keyFile]);
  return JSON.stringify([
    mode,
    certificateFile,
    keyFile,
    others,
    caFile,
    minVersion,
    ciphers,
    subjectAltNames,
  ]);
}

/** The same for a renewed Secret too: whose certificate it is and who may connect. */
export function tlsIdentity(settings: ListenerTls): string {
  return tlsKey(settings).replaceAll(/#[0-9a-f]+/g, '');
}

/** What a handshake came to. */
export interface TlsFacts {
  /** How long it took, microseconds. */
  readonly handshakeUs: number;
  /** Index of `tlsVersionWords` (telemetry/record/exchange-record.ts). */
  readonly version: number;
}

const facts = new WeakMap<Socket, TlsFacts>();

/** Of a secure socket whose handshake ended here; undefined for any other. */
export function tlsFactsOf(socket: Socket): TlsFacts | undefined {
  return facts.get(socket);
}

/** Of one that something else has made secure. */
export function setTlsFacts(secure: Socket, known: TlsFacts): void {
  facts.set(secure, known);
}

const versions: readonly string[] = ['', 'TLSv1.2', 'TLSv1.3'];

export class TlsServer {
  /** Resolves when the files have been looked at once, good or bad. */
  readonly loaded: Promise<void>;
  readonly #scope: ProxyScope;
  readonly #files: TlsFiles;
  readonly #warnings: WarningLimit;
  readonly #mode: ListenerTls['mode'];
  readonly #names: readonly string[] | undefined;
  /** Made of the first good files: each context of OpenSSL is 40 KiB. */
  #server: Server | undefined;
  readonly #handshakes = new Map<Socket, Handshake>();
  #hosts: readonly string[] = [];
  #isRetired = false;

  constructor(scope: ProxyScope, settings: ListenerTls) {
    this.#scope = scope;
    this.#warnings = new WarningLimit(scope);
    this.#mode = settings.mode;
    this.#names = settings.subjectAltNames;
    scope.tlsSets++;
    this.#files = new TlsFiles({
      settings,
      credentials: scope.credentials,
      wakeUps: scope.wakeUps,
      pollMs: () => pollDelayMs(scope.tlsSets, scope.random.u32() / 2 ** 32, scope.limits),
      wallMs: () => scope.clock.epochMs + scope.clock.now(),
      log: scope.log,
      hosts: () => this.#hosts,
      onLoaded: (material) => this.#load(material),
    });
    this.loaded = this.#files.start();
  }

  /** `hosts` of Gateways are served with it from now on: its certificates should be for them. */
  expect(hosts: readonly string[]): void {
    if (hosts.join() === this.#hosts.join()) return;
    this.#hosts = hosts;
    this.#files.onHosts();
  }

  /** Certificates in use. */
  get served(): readonly ServedCertificate[] {
    return this.#files.served;
  }

  /** Why no certificate has been read yet; empty when one has. */
  get whyUnloaded(): string {
    return this.#files.whyUnloaded;
  }

  /**
   * Does the handshake on `accepted`; `onSecure` gets the socket to read and write, if it worked. `from`:
   * where it comes from, if that is not its peer.
   */
  accept(accepted: Socket, onSecure: (secure: TLSSocket) => void, from?: string): void {
    // Whoever is gone has none.
    const address = from ?? plainAddress(accepted.remoteAddress ?? 'a peer that is gone');
    const handshake = new Handshake(this.#scope, { accepted, address, onSecure }, (why) =>
      this.#onEnded(accepted, address, why),
    );
    this.#handshakes.set(accepted, handshake);
    if (this.#server !== undefined) this.#server.emit('connection', accepted);
    else handshake.fail('no certificate has been read');
  }

  /** Handshakes are under way. */
  get isBusy(): boolean {
    return this.#handshakes.size > 0;
  }

  /** No listener uses it any more: reads no files; handshakes under way go on. */
  retire(): void {
    if (this.#isRetired) return;
    this.#isRetired = true;
    this.#files.close();
    this.#scope.tlsSets--;
  }

  /** The proxy ends. */
  close(): void {
    this.retire();
    for (const handshake of [...this.#handshakes.values()]) handshake.fail('the proxy ends');
  }

  #load(material: SecureContextOptions): void {
    if (this.#server === undefined) this.#server = this.#serve(material);
    else this.#server.setSecureContext(material);
    // Node.js keeps what it has read.
    Object.assign(this.#server, { key: undefined });
  }

  #serve(material: SecureContextOptions): Server {
    const server = createServer({
      ...material,
      ALPNProtocols: ['http/1.1'],
      requestCert: this.#mode !== 'simple',
      rejectUnauthorized: this.#mode === 'mutual',
    });
    server.on('secureConnection', (secure) => this.#onSecure(secure));
    server.on('tlsClientError', (error: NodeJS.ErrnoException, secure) => {
      this.#handshakes.get(beneath(secure)!)?.fail(reasonOf(error, secure));
    });
    return server;
  }

  #onSecure(secure: TLSSocket): void {
    const handshake = this.#handshakes.get(beneath(secure)!);
    const problem = this.#problemOf(secure);
    if (handshake === undefined) secure.destroy();
    else if (problem !== '') handshake.fail(`its certificate: ${problem}`);
    else handshake.succeed(secure);
  }

  /** Of a certificate that was shown; OpenSSL has refused those that must be good and are not. */
  #problemOf(secure: TLSSocket): string {
    if (this.#mode === 'simple' || secure.getPeerX509Certificate() === undefined) return '';
    if (!secure.authorized) return String(secure.authorizationError);
    const names = this.#names;
    if (names === undefined || isShownFor(secure, names)) return '';
    return `it is not for ${names.join(' or ')}`;
  }

  #onEnded(accepted: Socket, address: string, why: string): void {
    this.#handshakes.delete(accepted);
    if (why === '') return;
    this.#scope.counts.failedHandshakes++;
    this.#warnings.warn(`TLS handshake with ${address} failed: ${why}`);
  }
}

/** Of a certificate that Node.js has refused the error says only that the connection is over. */
function reasonOf(error: NodeJS.ErrnoException, secure: TLSSocket): string {
  const refused = secure.authorizationError as Error | string | null | undefined;
  if (refused) return `its certificate: ${refused}`;
  return error.code === 'ECONNRESET' ? 'the peer went away' : (error.code ?? error.message);
}

function beneath(secure: TLSSocket): Socket | null {
  return (secure as unknown as WithParent)._parent;
}

/** What one begins with. */
interface HandshakeTerms {
  readonly accepted: Socket;
  /** Where it comes from. */
  readonly address: string;
  readonly onSecure: (secure: TLSSocket) => void;
}

/** One handshake under way; it ends once, well or badly. */
class Handshake implements DeadlineOwner, Handshaker {
  readonly address: string;
  readonly #scope: ProxyScope;
  readonly #accepted: Socket;
  readonly #onSecure: (secure: TLSSocket) => void;
  readonly #onEnded: (why: string) => void;
  readonly #startMs: Milliseconds;
  readonly #deadline: Deadline = new Deadline(this);
  #isOver = false;

  constructor(
    scope: ProxyScope,
    { accepted, address, onSecure }: HandshakeTerms,
    onEnded: (why: string) => void,
  ) {
    this.address = address;
    this.#scope = scope;
    this.#accepted = accepted;
    this.#onSecure = onSecure;
    this.#onEnded = onEnded;
    scope.handshakes++;
    scope.handshakeCrowd.enter(this);
    this.#startMs = scope.clock.now();
    scope.deadlines.set(this.#deadline, this.#startMs + scope.limits.tlsHandshakeMs);
    // A peer that goes away in the middle: 'close' tells all there is to tell.
    accepted.on('error', () => undefined);
    // Behind a certificate that was refused 'tlsClientError' follows, which knows why.
    accepted.on('close', () => process.nextTick(() => this.fail('the peer went away')));
  }

  succeed(secure: TLSSocket): void {
    if (!this.#end('')) return;
    const handshakeUs = Math.round((this.#scope.clock.now() - this.#startMs) * 1_000);
    const version = Math.max(0, versions.indexOf(secure.getProtocol() ?? ''));
    facts.set(secure, { handshakeUs, version });
    // Bytes that are no records of this connection: Node.js tells of them and leaves the socket open.
    secure.on('error', () => secure.destroy());
    try {
      this.#onSecure(secure);
    } catch (error) {
      this.#scope.containBug(secure, error);
    }
  }

  fail(why: string): void {
    if (this.#end(why)) this.#accepted.destroy();
  }

  onDeadline(): void {
    this.fail('it took too long');
  }

  #end(why: string): boolean {
    if (this.#isOver) return false;
    this.#isOver = true;
    this.#scope.handshakes--;
    this.#scope.handshakeCrowd.leave(this);
    this.#scope.deadlines.remove(this.#deadline);
    this.#onEnded(why);
    return true;
  }
}
