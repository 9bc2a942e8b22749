/**
 * The plan of the demo without ports of its own: every program has an address, and callers dial the
 * address of a service that nobody has.
 *
 * Read from transparent/services.yaml and the two files of the rollout; the sidecars get the same three.
 */

import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { parseAllDocuments } from 'yaml';
import { compileTable, readResources } from '../../../src/config/load.ts';
import { type DemoPlan, members, type Place, readShares, type Workload } from './plan.ts';

/** What the sidecars of the demo are configured by, as paths. */
export function transparentFiles(folder: string): readonly [string, string, string] {
  return [
    join(folder, 'transparent/services.yaml'),
    join(folder, 'reviews-route.yaml'),
    join(folder, 'reviews-subsets.yaml'),
  ];
}

const upstreams: Readonly<Record<Workload['app'], Workload['app'] | undefined>> = {
  web: 'reviews',
  reviews: 'ratings',
  ratings: undefined,
};

/** As much of a ServiceEntry as the plan needs. */
interface ServiceDocument {
  readonly metadata: { readonly name: string };
  readonly spec: {
    readonly addresses: readonly string[];
    readonly ports: readonly { readonly number: number }[];
    readonly endpoints: readonly {
      readonly address: string;
      readonly labels: Readonly<Record<string, string>>;
    }[];
  };
}

/** Throws an Error with one line when the files do not hold the demo. */
export function readTransparentPlan(folder: string): DemoPlan {
  const files = transparentFiles(folder);
  const texts = files.map((file) => ({ file, text: readFileSync(file, 'utf8') }));
  const { resources } = readResources(texts);
  const context = { namespace: 'default', labels: { app: 'web' }, generation: 1 };
  const { table } = compileTable(resources, { ...context, capture: 'redirect' });
  const services = parseAllDocuments(texts[0]!.text).map((each) => each.toJS() as ServiceDocument);
  return {
    workloads: members.map(([app, version]) => readWorkload(services, app, version)),
    configured: readShares(table),
    weightsFile: files[1],
  };
}

function readWorkload(
  services: readonly ServiceDocument[],
  app: Workload['app'],
  version: string,
): Workload {
  const serviceOf = (name: string) => {
    const service = services.find(({ metadata }) => metadata.name === name)?.spec;
    if (service !== undefined) return service;
    throw new Error(`transparent/services.yaml has no ServiceEntry ${name}`);
  };
  const { endpoints, ports } = serviceOf(app);
  const port = ports[0]!.number;
  const endpoint = endpoints.find(({ labels }) => (labels.version ?? '') === version);
  if (endpoint === undefined) throw new Error(`transparent/services.yaml has no ${app} ${version}`);
  const place: Place = { address: endpoint.address, port };
  const upstream = upstreams[app];
  return {
    app,
    version,
    labels: version === '' ? `app=${app}` : `app=${app},version=${version}`,
    application: place,
    inbound: place,
    outbound: upstream && { address: serviceOf(upstream).addresses[0]!, port },
  };
}
