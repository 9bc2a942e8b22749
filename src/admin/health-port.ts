/**
 * The health port of a sidecar, and the proof that it gives of the inbound redirection rules.
 *
 *   kubelet ──► 15021 ── inbound rules ──► 15022   this pod's rules are in force
 *   kubelet ──► 15021                              they are not: such a probe is answered with 503
 *   the pod itself, by loopback or its own address ──► 15021, which says nothing of them
 *
 * Nothing that a process of the pod sends passes the rules for what comes from elsewhere, so only who
 * comes from elsewhere can show that they are there: the one who asks for readiness does.
 */

import type { AddressInfo } from 'node:net';
import { createHealthServer, type HealthOptions } from './health-server.ts';
import type { PageServer } from './page-server.ts';

/** As the rules have them (injector/init/rules.ts). */
export const healthPorts = Object.freeze({ asked: 15_021, passed: 15_022 });

export const pastRules =
  'this probe came past the inbound redirection rules of this pod, which are not in force (did `tracecar init` run here? `nft list table inet tracecar` shows them)';

/** Where connections are captured: what a probe shows of the rules. */
export interface Passage {
  /** Addresses of this pod beside loopback. */
  readonly ownAddresses: readonly string[];
  /** Each probe that came past the rules, and the first one that passed them again. */
  onProbe(hasPassed: boolean): void;
}

export class HealthPort {
  readonly #options: HealthOptions;
  readonly #passage: Passage | undefined;
  readonly #servers: PageServer[] = [];
  #hasPassed = false;

  constructor(options: HealthOptions, passage: Passage | undefined) {
    this.#options = options;
    this.#passage = passage;
  }

  /** Opens the port and answers which one it is; rejects with the system's error (EADDRINUSE). */
  async listen(address: string, port: number): Promise<AddressInfo> {
    // The rules know the usual port only.
    if (this.#passage === undefined || port !== healthPorts.asked) {
      return this.#open(this.#options, address, port);
    }
    const { ownAddresses } = this.#passage;
    const judge = (hasPassed: boolean) => (peer: string) => {
      if (peer === '' || isLoopback(peer) || ownAddresses.includes(peer)) return '';
      this.#tell(hasPassed);
      return hasPassed ? '' : pastRules;
    };
    await this.#open({ ...this.#options, judge: judge(true) }, address, healthPorts.passed);
    return this.#open({ ...this.#options, judge: judge(false) }, address, port);
  }

  /** Closes the port and every connection. */
  async close(): Promise<void> {
    await Promise.all(this.#servers.map((server) => server.close()));
  }

  #open(options: HealthOptions, address: string, port: number): Promise<AddressInfo> {
    const server = createHealthServer(options);
    this.#servers.push(server);
    return server.listen(address, port);
  }

  #tell(hasPassed: boolean): void {
    if (hasPassed && this.#hasPassed) return;
    this.#hasPassed = hasPassed;
    this.#passage?.onProbe(hasPassed);
  }
}

function isLoopback(address: string): boolean {
  return address.startsWith('127.') || address === '::1';
}
