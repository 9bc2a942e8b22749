/**
 * Warm-up: synthetic exchanges through the real codec, router and relay, before the proxy is ready.
 *
 *   callers ──► a second ProxyServer, with a table and telemetry of its own ──► origin
 *                 └── where the workload has an identity some by mutual TLS, from half to half ──┘
 *
 * The first requests of a cold process take many times what later ones do: V8 interprets code until
 * it has run often. What V8 learns belongs to the code and not to an instance, so a second proxy warms
 * the first one, and none of its connections, records, counters or choices can be seen anywhere.
 * Every step is one small event of the loop, and none follows while real traffic is under way.
 */

import type { Clock, Milliseconds } from '../base/clock.ts';
import type { WakeUps } from '../base/deadlines.ts';
import type { Random } from '../base/random.ts';
import type { MeshIdentity } from '../identity/mesh-identity.ts';
import type { TrafficLimits } from '../model/limits.ts';
import type { RoutingTable } from '../model/routing-table.ts';
import type { HotTelemetry } from '../telemetry/telemetry.ts';
import { ProxyServer } from './proxy-server.ts';
import { freePorts, type Pace, WarmUpCaller, WarmUpOrigin, warmUpHost } from './warm-up-peers.ts';

/** What the table of a warm-up leads from and to, on 127.0.0.1. */
export interface WarmUpPlaces {
  /** The authority of every request. */
  readonly host: string;
  readonly origin: number;
  /** Ports to listen on. */
  readonly outbound: number;
  readonly inbound: number;
  /**
   * SPIFFE id of the inbound half, to which a part of the exchanges goes by mutual TLS; empty: there is no
   * certificate (yet), so none does.
   */
  readonly identity: string;
}

export interface WarmUpOptions {
  readonly clock: Clock;
  readonly random: Random;
  readonly wakeUps: WakeUps;
  readonly limits: TrafficLimits;
  /** Of this workload; undefined where it has none. Its own certificate shows itself to itself. */
  readonly mesh?: MeshIdentity | undefined;
  /** Makes its own: whatever is recorded and counted goes with it. */
  telemetry(): HotTelemetry;
  /** Compiles a table with a listener of each direction. */
  table(places: WarmUpPlaces): RoutingTable;
  /** It takes no longer; 0: there is none. */
  readonly atMostMs: Milliseconds;
  /** Exchanges of the real proxy are under way: they go first. */
  isHeldUp(): boolean;
  /** Nobody needs it any more. */
  isOver(): boolean;
}

/** Enough for V8 to have optimised what every request runs through. */
const exchangesMax = 6_000;
/**
 * Exchanges after which a fresh proxy takes over. What lives as long as the proxy has other shapes when
 * it is new (an empty list is of another kind than one that held something once): met by code that is
 * still interpreted they cost nothing, met later they throw optimised code away.
 */
const roundsEnd: readonly number[] = [50, 150, 400, exchangesMax];
/** As many events of ours may stand before a real one in a turn of the loop. */
const callers = 4;

/** Resolves with the number of exchanges, in `atMostMs` or little more. Never rejects. */
export async function warmUp(options: WarmUpOptions): Promise<number> {
  if (options.atMostMs <= 0) return 0;
  try {
    const origin = await WarmUpOrigin.start();
    try {
      return await new WarmUp(options, origin.port).run();
    } finally {
      origin.close();
    }
  } catch {
    // No loopback, no descriptor left: then the first requests are slower, and nothing else is.
    return 0;
  }
}

class WarmUp implements Pace {
  readonly #options: WarmUpOptions;
  readonly #telemetry: HotTelemetry;
  /**
   * Nobody but our own callers comes, and they have ended: a listener closes at once. To look for late
   * ones (the kernel's list of all connections, for each listener) took 100 ms of the core and kept the
   * warm-up waiting for 150 of its 700 ms (2026-11-26). Same shape as the real ones: see `roundsEnd`.
   */
  readonly #limits: TrafficLimits;
  readonly #origin: number;
  readonly #until: Milliseconds;
  #exchanges = 0;
  #roundEnd = 0;

  constructor(options: WarmUpOptions, origin: number) {
    this.#options = options;
    this.#telemetry = options.telemetry();
    this.#limits = { ...options.limits, acceptLastMs: 0 };
    this.#origin = origin;
    this.#until = options.clock.now() + options.atMostMs;
  }

  async run(): Promise<number> {
    const ports = await freePorts(2);
    const [outbound, inbound] = ports as [number, number];
    const { mesh, table } = this.#options;
    const origin = this.#origin;
    for (this.#roundEnd of roundsEnd) {
      if (!this.goesOn()) break;
      // It may come meanwhile.
      const identity = mesh?.current?.id ?? '';
      const places = { host: warmUpHost, origin, outbound, inbound, identity };
      if (!(await this.#round(table(places), ports))) break;
    }
    return this.#exchanges;
  }

  goesOn(): boolean {
    const { clock } = this.#options;
    if (this.#exchanges >= this.#roundEnd || this.#options.isOver()) return false;
    return clock.now() < this.#until;
  }

  isHeldUp(): boolean {
    return this.#options.isHeldUp();
  }

  onAnswer(): void {
    this.#exchanges++;
  }

  /** False when there can be none. */
  async #round(table: RoutingTable, ports: readonly number[]): Promise<boolean> {
    const { clock, random, wakeUps } = this.#options;
    const telemetry = this.#telemetry;
    const limits = this.#limits;
    const log = () => undefined;
    const { mesh } = this.#options;
    const proxy = new ProxyServer({
      ...{ clock, random, wakeUps, limits, telemetry, log },
      ...(mesh === undefined ? {} : { mesh }),
    });
    try {
      const errors = await proxy.apply(table);
      if (errors.length > 0) return false;
      await this.#callUntilDone(ports);
      return true;
    } finally {
      await proxy.close();
    }
  }

  /** Resolves when every caller has ended, at the latest when the time is over. */
  #callUntilDone(ports: readonly number[]): Promise<void> {
    const { clock, wakeUps } = this.#options;
    return new Promise((resolve) => {
      const calling: WarmUpCaller[] = [];
      let left = callers;
      const callOff = wakeUps.after(this.#until - clock.now(), () => {
        for (const each of calling) each.destroy();
      });
      const onEnd = () => {
        left--;
        if (left > 0) return;
        callOff();
        resolve();
      };
      while (calling.length < callers) {
        // Both directions from the first exchange of every round on.
        const inTurn = calling.length % 2 === 0 ? ports : ports.toReversed();
        calling.push(new WarmUpCaller(inTurn, this, wakeUps, onEnd));
      }
    });
  }
}
