/**
 * Who has called this workload without mutual TLS of the mesh: whoever would break in STRICT.
 *
 *   address and port called -> connections, when the last one came       the longest ago is forgotten
 *
 * It is told of connections, not of requests, and it is bounded. It also remembers addresses that have
 * come both ways: what is behind a NAT is not told apart.
 */

import type { Milliseconds } from '../../base/clock.ts';

/** One line of `GET /plaintext-callers` and of `tracecar check --strict`. */
export interface PlaintextCaller {
  /** IP address that the connections came from. */
  readonly address: string;
  /** Of the workload: the ingress listener's, or where captured connections went to. */
  readonly port: number;
  readonly connections: number;
  /** Of the last connection, milliseconds since the epoch. */
  readonly lastMs: number;
  /** The address has also come by mutual TLS: some of what is there has a sidecar. */
  readonly isAlsoMeshed: boolean;
}

export interface PlaintextReport {
  /** The latest last. */
  readonly callers: readonly PlaintextCaller[];
  /** Callers that had to be forgotten: there were more than `plaintextCallersMax`. */
  readonly forgotten: number;
}

interface Entry {
  readonly address: string;
  readonly port: number;
  connections: number;
  lastMs: Milliseconds;
  isAlsoMeshed: boolean;
}

export class PlaintextCallers {
  readonly #max: number;
  readonly #entries = new Map<string, Entry>();
  #forgotten = 0;

  /** `max`: callers that are remembered, each address and port apart. */
  constructor(max: number) {
    this.#max = max;
  }

  /** A connection came as it is. `wallMs`: now, since the epoch. */
  note(address: string, port: number, wallMs: Milliseconds): void {
    const key = `${address} ${port}`;
    const known = this.#entries.get(key);
    if (known === undefined) this.#makeRoom();
    else this.#entries.delete(key);
    const entry = known ?? { address, port, connections: 0, lastMs: 0, isAlsoMeshed: false };
    entry.connections++;
    entry.lastMs = wallMs;
    this.#entries.set(key, entry);
  }

  /** One came by mutual TLS. */
  noteMeshed(address: string, port: number): void {
    const known = this.#entries.get(`${address} ${port}`);
    if (known !== undefined) known.isAlsoMeshed = true;
  }

  /** All that has come from there to that port came without, and something has. */
  isPlain(address: string, port: number): boolean {
    return this.#entries.get(`${address} ${port}`)?.isAlsoMeshed === false;
  }

  report(): PlaintextReport {
    return {
      callers: [...this.#entries.values()].map((entry) => ({ ...entry })),
      forgotten: this.#forgotten,
    };
  }

  #makeRoom(): void {
    if (this.#entries.size < this.#max) return;
    const [oldest] = this.#entries.keys();
    this.#entries.delete(oldest!);
    this.#forgotten++;
  }
}
