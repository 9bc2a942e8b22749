/**
 * The registry of metrics: series of requests, counters of connections, telemetry's own counters.
 *
 * Labels come from configuration, never from requests, and there are at most `seriesMax` series, and
 * `cellsMax` outcomes in all of them; what comes later is counted in one series whose labels are
 * `other`, and in its series' cell of others (Linkerd's CVE-2025-43915 is what happens otherwise). Counting is the holders' own: this file only hands the objects out.
 *
 *   beginTable ─► keepSeries, requestSeries, for all that the next table needs ─► endTable
 *
 * Series that the last table did not ask for stay while at most half of `seriesMax` are there, else
 * they go: names that come and go with configuration never use the limit up. Prometheus takes a
 * counter that comes back for one that was reset; an exchange under way that still counts in a
 * series that went is not shown.
 */

import { failures } from '../../model/failure.ts';
import type { Direction } from '../../model/routing-table.ts';
import { telemetryLimits } from '../../model/telemetry-limits.ts';
import { DETECTION_PLACES } from '../record/detection.ts';
import { KeepBudgets } from './keep-state.ts';
import { PolicyCounts } from './policy-counts.ts';
import { UNNAMED_PEER } from './request-cell.ts';
import { type CellBudget, type RequestLabels, RequestSeries } from './request-series.ts';
import type { SpanCounts } from './worker-counters.ts';
import { ZoneTable } from './zone-bytes.ts';

export type { RequestLabels, RequestSeries };

/** Connections that were relayed unread, counted at their end. */
export class OpaqueCounts {
  opaqueTotal = 0;
  opaqueSentBytes = 0;
  opaqueReceivedBytes = 0;
}

/** Connections and exchanges of one direction; the proxy writes the fields. */
export class ConnectionCounts {
  /** Open now. */
  downstreamOpen = 0;
  upstreamOpen = 0;
  /** Ever opened. */
  downstreamTotal = 0;
  upstreamTotal = 0;
  /** Connects that failed. */
  upstreamFailed = 0;
  /** Connections that were relayed unread, captured or upgraded, counted at their end; their bytes. */
  opaqueTotal = 0;
  opaqueSentBytes = 0;
  opaqueReceivedBytes = 0;
  /** The same of those whose peer has proved who it is, by its NameTable id or `UNNAMED_PEER`. */
  readonly opaquePeers = new Map<number, OpaqueCounts>();
  /** Captured connections by what they turned out to speak: index is `detectionPlace`. */
  readonly detections = new Float64Array(DETECTION_PLACES);
  /** Connections that were not read and failed, by cause: index is `Failure.code`. */
  readonly causes = new Float64Array(failures.length + 1);
  /** Captured connections that spoke something else than what was declared. */
  wrongProtocol = 0;
  /** Handshakes of mutual TLS of the mesh that came well, that failed, and those for want of room. */
  meshHandshakes = 0;
  meshHandshakesFailed = 0;
  meshHandshakesRefused = 0;
  /** Connections without mutual TLS, of a workload that has an identity. */
  plaintextTotal = 0;
  /** Requests whose baggage was dropped because it was too much. */
  baggageDropped = 0;
  /** Requests of callers outside the mesh that were not sampled although they asked for it. */
  forcedCapped = 0;
  /** Requests whose values no call can be tied by: too many were open. */
  openOverflow = 0;
  /** Exchanges under way. */
  exchangesActive = 0;

  /** A connection that was relayed unread has ended. `peerId`: `ExchangeRecord.principalId`. */
  countOpaque(peerId: number, sentBytes: number, receivedBytes: number): void {
    this.opaqueTotal++;
    this.opaqueSentBytes += sentBytes;
    this.opaqueReceivedBytes += receivedBytes;
    if (peerId === 0) return;
    const isFull = this.opaquePeers.size >= telemetryLimits.metricConnectionPeersMax;
    const id = isFull && !this.opaquePeers.has(peerId) ? UNNAMED_PEER : peerId;
    const counts = this.opaquePeers.get(id) ?? new OpaqueCounts();
    this.opaquePeers.set(id, counts);
    counts.opaqueTotal++;
    counts.opaqueSentBytes += sentBytes;
    counts.opaqueReceivedBytes += receivedBytes;
  }
}

const OTHER = 'other';
/** What a record has room for. */
const ID_MAX = 65_535;
/** The table of a series that no table asked for. */
const LASTING = Number.POSITIVE_INFINITY;

interface KnownSeries {
  readonly series: RequestSeries;
  /** The last table that asked for it. */
  table: number;
}

export class MetricRegistry {
  /** What authorization policies have decided. */
  readonly policies: PolicyCounts = new PolicyCounts(telemetryLimits.policyCountsMax);
  /** Bytes by zones. */
  readonly zones: ZoneTable;
  /** Telemetry's own counts, when there are any. */
  readonly spanCounts: (() => SpanCounts) | undefined;
  readonly #seriesMax: number;
  readonly #cells: CellBudget;
  readonly #budgets: KeepBudgets;
  /** The id that was given last, and those that are in use. */
  #lastId = 0;
  readonly #ids = new Set<number>();
  readonly #series = new Map<string, KnownSeries>();
  readonly #known = new Map<RequestSeries, KnownSeries>();
  /** The table that series are asked for now, and how many it (or no table at all) needs. */
  #table = 0;
  #needed = 0;
  readonly #others = new Map<Direction, RequestSeries>();
  readonly #connections: Readonly<Record<Direction, ConnectionCounts>> = {
    inbound: new ConnectionCounts(),
    outbound: new ConnectionCounts(),
  };

  /** `seriesMax`: series of requests, `cellsMax`: their cells; `other` not counted. `ownZone`: '' = unknown. */
  constructor(
    seriesMax: number = telemetryLimits.metricSeriesMax,
    spanCounts?: (() => SpanCounts) | undefined,
    cellsMax: number = telemetryLimits.metricCellsMax,
    ownZone = '',
  ) {
    this.zones = new ZoneTable(ownZone, telemetryLimits.zonesMax);
    this.#seriesMax = seriesMax;
    this.#budgets = new KeepBudgets(seriesMax);
    const { metricCellsPerSeriesMax: cellsOfSeriesMax, metricPeerCellsShare } = telemetryLimits;
    const peersLeft = Math.floor(cellsMax * metricPeerCellsShare);
    this.#cells = { left: cellsMax, peersLeft, seriesMax: cellsOfSeriesMax };
    this.spanCounts = spanCounts;
  }

  /** From now on series are asked for by a new table, or its plans. */
  beginTable(): void {
    this.#table++;
    this.#needed = 0;
    for (const { table } of this.#series.values()) if (table === LASTING) this.#needed++;
  }

  /**
   * The table holds: what only earlier ones needed goes when it is much, but for the series in `inUse`:
   * parts of earlier tables may have to serve on.
   */
  endTable(inUse: ReadonlySet<RequestSeries> = new Set()): void {
    if (this.#series.size <= this.#seriesMax / 2) return;
    for (const [key, { series, table }] of this.#series) {
      if (table >= this.#table || inUse.has(series)) continue;
      this.#series.delete(key);
      this.#known.delete(series);
      this.#ids.delete(series.id);
      series.retire();
    }
  }

  /**
   * The series of these labels: the same object for the same labels, until a table goes in force that
   * did not ask for it. For set-up, not per request.
   */
  requestSeries(labels: RequestLabels): RequestSeries {
    return this.#seriesOf(labels, this.#table);
  }

  /**
   * The new table needs `series`, which the table before it did; before it asks for others. One of the
   * `other` series stays what it is, even when there would be room now.
   */
  keepSeries(series: RequestSeries): void {
    const known = this.#known.get(series);
    if (known === undefined || known.table >= this.#table) return;
    known.table = this.#table;
    this.#needed++;
  }

  /** As `requestSeries`, for what no table asks for and the process needs until its end. */
  lastingSeries(labels: RequestLabels): RequestSeries {
    return this.#seriesOf(labels, LASTING);
  }

  /** The counters of one direction, to be written by the proxy. */
  connectionGauge(direction: Direction): ConnectionCounts {
    return this.#connections[direction];
  }

  /** Every series, `other` last. */
  allSeries(): readonly RequestSeries[] {
    return [...[...this.#series.values()].map(({ series }) => series), ...this.#others.values()];
  }

  #seriesOf(labels: RequestLabels, table: number): RequestSeries {
    const { direction, listener, route, rule, cluster, subset } = labels;
    const key = [direction, listener, route, rule, cluster, subset].join('\u0000');
    const known = this.#series.get(key);
    if (known !== undefined && known.table >= table) return known.series;
    // Tables that never came to hold leave series behind until one does.
    const isFull = known === undefined && this.#series.size >= 2 * this.#seriesMax;
    if (this.#needed >= this.#seriesMax || isFull) return this.#otherSeries(direction);
    const own = { direction, listener, route, rule, cluster, subset };
    const series = known?.series ?? this.#newSeries(own);
    this.#needed++;
    const next = { series, table };
    this.#series.set(key, next);
    this.#known.set(series, next);
    return series;
  }

  #otherSeries(direction: Direction): RequestSeries {
    const known = this.#others.get(direction);
    if (known !== undefined) return known;
    const series = this.#newSeries({
      direction,
      listener: OTHER,
      route: OTHER,
      rule: OTHER,
      cluster: OTHER,
      subset: OTHER,
    });
    this.#others.set(direction, series);
    return series;
  }

  /** Ids go round, so that one is given again as late as can be. */
  #newSeries(labels: RequestLabels): RequestSeries {
    const series = new RequestSeries(labels, this.#newId(), this.#cells);
    series.keep.budget = this.#budgets.of(labels.direction, labels.route);
    return series;
  }

  /** 0 when all are in use. */
  #newId(): number {
    if (this.#ids.size >= ID_MAX) return 0;
    do this.#lastId = (this.#lastId % ID_MAX) + 1;
    while (this.#ids.has(this.#lastId));
    this.#ids.add(this.#lastId);
    return this.#lastId;
  }
}
