/**
 * What Istio published about its own sidecars: figures of another machine, never measured here.
 *
 * Source: github.com/istio/tools, perf/benchmark/graph_plotter/example_plot/benchmark.csv as of
 * 2020-08-12 (commit c383a46). Two sidecars with mutual TLS between them, two workers each, HTTP/1.1,
 * bodies of 1 KB, fortio for 240 s. Latency is the mode "both" less "none_mtls_baseline" at the same
 * number of connections, in us; CPU is in thousandths of a core, the caller's sidecar and the other's.
 */

export const istioSource =
  'istio/tools, perf/benchmark/graph_plotter/example_plot/benchmark.csv, 2020-08-12';

/** What two sidecars add at 1000 requests a second, in us, and what each uses of a core. */
export interface IstioStep {
  readonly connections: number;
  readonly p50: number;
  readonly p90: number;
  readonly p99: number;
  readonly milliCores: readonly [caller: number, called: number];
}

/** Without telemetry: the mode none_mtls. At 16 connections the mean of two runs. */
export const istioPlain: readonly IstioStep[] = [
  { connections: 2, p50: 765, p90: 814, p99: 966, milliCores: [196, 221] },
  { connections: 4, p50: 840, p90: 1034, p99: 1201, milliCores: [172, 251] },
  { connections: 8, p50: 986, p90: 1294, p99: 1559, milliCores: [224, 222] },
  { connections: 16, p50: 991, p90: 1405, p99: 1837, milliCores: [188, 219] },
  { connections: 32, p50: 950, p90: 1591, p99: 2162, milliCores: [200, 224] },
  { connections: 64, p50: 946, p90: 1598, p99: 2263, milliCores: [184, 193] },
];

/** With the default metrics of the time: the mode v2-stats-nullvm; no spans. */
export const istioStats: readonly IstioStep[] = [
  { connections: 2, p50: 869, p90: 1022, p99: 1155, milliCores: [353, 303] },
  { connections: 4, p50: 1523, p90: 1764, p99: 1959, milliCores: [221, 253] },
  { connections: 8, p50: 1876, p90: 2341, p99: 2723, milliCores: [277, 236] },
  { connections: 16, p50: 2057, p90: 2885, p99: 3509, milliCores: [266, 285] },
  { connections: 32, p50: 2148, p90: 3151, p99: 4001, milliCores: [258, 286] },
  { connections: 64, p50: 1817, p90: 3006, p99: 4213, milliCores: [249, 270] },
];

/** Without telemetry on 16 connections, the mean of the two sidecars, by requests a second. */
const istioMilliCoresByRate: ReadonlyMap<number, number> = new Map([
  [10, 7],
  [100, 31],
  [500, 122],
  [1000, 200],
  [2000, 316],
  [3000, 465],
]);

/** CPU-ms for 1000 requests of one sidecar of Istio at that rate; undefined where none was published. */
export function istioCpuMs(ratePerSecond: number): number | undefined {
  const milliCores = istioMilliCoresByRate.get(ratePerSecond);
  return milliCores === undefined ? undefined : (milliCores * 1000) / ratePerSecond;
}
