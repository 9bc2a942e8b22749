/**
 * Own calls: connections of this very process, to a collector, that go where a captured one would go.
 *
 *   asked ─┬─ loopback, this pod, or an address and a name that nobody has defined ──► direct
 *          ├─ unknown, and REGISTRY_ONLY holds ──► denied, with a ServiceEntry to paste
 *          └─ known ──► a socket of its own: one connection is taken, as captured, and muted
 *
 * Muted: they are counted and make no spans, or each export would ask for another. A drain does not wait
 * for them, and they are taken until the process ends: the last spans leave when all else has.
 */

import { createServer, type Socket } from 'node:net';
import type { OwnAnswer, OwnDial } from '../../telemetry/transport/own-dial.ts';
import type { DownstreamConnection } from '../exchange/downstream-connection.ts';
import type { ProxyScope } from '../scope/proxy-scope.ts';
import { arrivalOf } from '../socket/socket-reads.ts';
import { type CaptureListener, isLoopback } from './capture-listener.ts';
import { CaptureOwner } from './capture-owner.ts';
import { CapturedConnection } from './captured-connection.ts';
import { printDenial } from './denied.ts';

const direct: OwnAnswer = Object.freeze({ way: 'direct' });

export class OwnCalls {
  readonly #scope: ProxyScope;
  readonly #outbound: CaptureListener;
  readonly #ownAddresses: ReadonlySet<string>;
  readonly #open = new Set<OwnCallOwner>();

  constructor(scope: ProxyScope, outbound: CaptureListener, ownAddresses: readonly string[]) {
    this.#scope = scope;
    this.#outbound = outbound;
    this.#ownAddresses = new Set(ownAddresses);
  }

  /** Connections that are open; they count among those of the outbound direction. */
  get open(): number {
    return this.#open.size;
  }

  /** Of those, the ones with a request under way. */
  get active(): number {
    let active = 0;
    for (const { isActive } of this.#open) if (isActive) active++;
    return active;
  }

  /** How a connection gets there. Never rejects. */
  async dial(to: OwnDial): Promise<OwnAnswer> {
    const { address, port } = to;
    // The kernel redirects nothing that stays inside a pod.
    if (isLoopback(address) || this.#ownAddresses.has(address)) return direct;
    if (this.#outbound.isParking) return denied('there are no routes yet');
    const owner = new OwnCallOwner(this.#scope, this.#outbound, { address, port }, this.#open);
    if (isDefined(owner, to)) return this.#listen(owner);
    if (!owner.isDenying) return direct;
    return denied(printDenial(to.hostname, { address, port }, to.isTls ? 'TLS' : 'HTTP'));
  }

  /** A name that nobody can guess, for one connection and for no longer than a dial takes. */
  #listen(owner: OwnCallOwner): Promise<OwnAnswer> {
    const { random, wakeUps, limits } = this.#scope;
    const digits = [0, 1, 2, 3].map(() => random.u32().toString(16).padStart(8, '0')).join('');
    const path = `\0tracecar-${process.pid}-${digits}`;
    const server = createServer({ pauseOnConnect: true, allowHalfOpen: true });
    const callOff = wakeUps.after(limits.connectLocalTimeoutMs, () => server.close());
    server.once('connection', (accepted) => {
      callOff();
      server.close();
      this.#take(accepted, owner);
    });
    return new Promise((settle) => {
      server.on('error', (error) => {
        callOff();
        settle(denied(`no socket for it: ${error.message}`));
      });
      server.listen(path, () => settle({ way: 'through', path }));
    });
  }

  #take(accepted: Socket, owner: OwnCallOwner): void {
    try {
      const connection = new CapturedConnection(this.#scope, owner, arrivalOf(accepted));
      this.#outbound.captured.add(connection);
      this.#open.add(owner);
      // It is no TCP socket: there is no RST to send.
      connection.socket.resetAndDestroy = connection.socket.destroy;
      connection.socket.once('close', () => this.#open.delete(owner));
    } catch (error) {
      this.#scope.containBug(accepted, error);
    }
  }
}

function denied(why: string): OwnAnswer {
  return { way: 'denied', why };
}

/** Whether the table has something to say of it, by its address or by its name. */
function isDefined(owner: OwnCallOwner, { hostname, address, isTls }: OwnDial): boolean {
  const { known } = owner;
  if (known !== undefined && !known.isAnyAddress) return true;
  if (isTls) return known !== undefined && known.rules.match(hostname, address) >= 0;
  return owner.plan.index.knows(hostname);
}

class OwnCallOwner extends CaptureOwner {
  override readonly isMuted = true;
  readonly #open: Set<OwnCallOwner>;
  #http: DownstreamConnection | undefined;

  constructor(
    scope: ProxyScope,
    listener: CaptureListener,
    destination: CaptureOwner['destination'],
    open: Set<OwnCallOwner>,
  ) {
    super(scope, listener, destination);
    this.#open = open;
  }

  get isActive(): boolean {
    return this.#http?.exchange !== undefined;
  }

  override onHttp(captured: CapturedConnection, connection: DownstreamConnection): void {
    this.#http = connection;
    super.onHttp(captured, connection);
  }

  override onConnectionClosed(connection: DownstreamConnection): void {
    this.#open.delete(this);
    super.onConnectionClosed(connection);
  }

  override onCapturedClosed(captured: CapturedConnection): void {
    this.#open.delete(this);
    super.onCapturedClosed(captured);
  }
}
