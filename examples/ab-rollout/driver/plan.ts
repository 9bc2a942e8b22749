/**
 * The demo's plan, read from the YAML: which programs run where, and what split is configured.
 *
 * Ports and weights stand only in the YAML: a sidecar's inbound listener says where its application
 * listens, its outbound listener where the application sends. So `--config` takes a copy on other ports.
 */

import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { compileTable, readResources } from '../../../src/config/load.ts';
import type { Listener, RoutingTable } from '../../../src/model/routing-table.ts';

export interface Place {
  readonly address: string;
  readonly port: number;
}

/** One application with the sidecar beside it. */
export interface Workload {
  readonly app: 'web' | 'reviews' | 'ratings';
  /** Empty for a service that has one version only. */
  readonly version: string;
  readonly labels: string;
  readonly application: Place;
  readonly inbound: Place;
  /** Where the application sends its own requests; undefined for the last service. */
  readonly outbound: Place | undefined;
}

export interface DemoPlan {
  readonly workloads: readonly Workload[];
  /** Share of each subset, from 0 to 1. */
  readonly configured: ReadonlyMap<string, number>;
  /** The file that holds the weights. */
  readonly weightsFile: string;
}

export const members = [
  ['web', ''],
  ['reviews', 'v1'],
  ['reviews', 'v2'],
  ['ratings', ''],
] as const;

/** Reads every YAML file of `folder`. Throws an Error with one line when it does not hold the demo. */
export function readPlan(folder: string): DemoPlan {
  const sources = readdirSync(folder)
    .filter((name) => /\.ya?ml$/.test(name))
    .sort()
    .map((name) => ({ file: join(folder, name), text: readFileSync(join(folder, name), 'utf8') }));
  if (sources.length === 0) throw new Error(`${folder} holds no YAML file`);
  const { resources } = readResources(sources);
  const tables = members.map(([app, version]) => {
    const labels: Record<string, string> = version === '' ? { app } : { app, version };
    return compileTable(resources, { namespace: 'default', labels, generation: 1, capture: 'none' })
      .table;
  });
  return {
    workloads: members.map(([app, version], index) => readWorkload(app, version, tables[index]!)),
    configured: readShares(tables[0]!),
    weightsFile: sources.find(({ text }) => /^\s*weight:/m.test(text))?.file ?? folder,
  };
}

function readWorkload(app: Workload['app'], version: string, table: RoutingTable): Workload {
  const name = `${app} ${version}`.trim();
  const inbound = table.listeners.find(({ direction }) => direction === 'inbound');
  const application = inbound === undefined ? undefined : applicationBehind(inbound, table);
  if (inbound === undefined || application === undefined) {
    throw new Error(`no Sidecar of the configuration gives ${name} an inbound listener`);
  }
  const outbound = table.listeners.find(({ direction }) => direction === 'outbound');
  return {
    app,
    version,
    labels: version === '' ? `app=${app}` : `app=${app},version=${version}`,
    application,
    inbound: { address: inbound.address, port: inbound.port },
    outbound: outbound && { address: outbound.address, port: outbound.port },
  };
}

function applicationBehind(inbound: Listener, table: RoutingTable): Place | undefined {
  const backend = inbound.virtualHosts[0]?.rules[0]?.backends[0];
  return table.clusters.find(({ name }) => name === backend?.cluster)?.endpoints[0];
}

/** Shares by subset of the first rule that chooses between subsets. */
export function readShares(
  table: Pick<RoutingTable, 'listeners' | 'clusters'> & Partial<Pick<RoutingTable, 'capture'>>,
) {
  const rules = [...table.listeners, ...(table.capture?.outbound ?? [])]
    .filter(({ direction }) => direction === 'outbound')
    .flatMap(({ virtualHosts }) => virtualHosts.flatMap((host) => host.rules));
  const subsetOf = (cluster: string) =>
    table.clusters.find(({ name }) => name === cluster)?.subset ?? '';
  const rule = rules.find(({ backends }) =>
    backends.some(({ cluster }) => subsetOf(cluster) !== ''),
  );
  const sum = rule?.backends.reduce((total, { weight }) => total + weight, 0) ?? 0;
  const shares = new Map<string, number>();
  for (const { cluster, weight } of rule?.backends ?? []) {
    const subset = subsetOf(cluster);
    shares.set(subset, (shares.get(subset) ?? 0) + (sum === 0 ? 1 : weight / sum));
  }
  return shares;
}
