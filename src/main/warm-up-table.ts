/**
 * The routing table of the warm-up, made as every table is: written as YAML, read and compiled.
 *
 * V8 optimises code for the shapes of the objects that it has met. Tables that were built by hand have
 * other shapes than compiled ones, and with them a third of what a warm-up learns was lost again in the
 * first real requests (--trace-deopt, 2026-11-25).
 */

import { compileTable, readResources } from '../config/load.ts';
import type { RoutingTable } from '../model/routing-table.ts';
import type { WarmUpPlaces } from '../proxy/warm-up.ts';

/** Both directions; a match, a weighted choice and a timeout: what most tables have. */
export function warmUpTable({ host, origin, outbound, inbound }: WarmUpPlaces): RoutingTable {
  const text = `
apiVersion: networking.istio.io/v1
kind: Sidecar
metadata: {name: warm-up, namespace: warm-up}
spec:
  ingress:
  - port: {number: ${inbound}, protocol: HTTP, name: http-inbound}
    bind: 127.0.0.1
    captureMode: NONE
    defaultEndpoint: 127.0.0.1:${origin}
  egress:
  - port: {number: ${outbound}, protocol: HTTP, name: http-outbound}
    bind: 127.0.0.1
    captureMode: NONE
    hosts: ["./*"]
---
apiVersion: networking.istio.io/v1
kind: ServiceEntry
metadata: {name: origin, namespace: warm-up}
spec:
  hosts: [${host}]
  location: MESH_INTERNAL
  resolution: STATIC
  ports:
  - {number: 80, name: http, protocol: HTTP}
  endpoints:
  - {address: 127.0.0.1, ports: {http: ${origin}}, labels: {version: v1}}
  - {address: 127.0.0.1, ports: {http: ${origin}}, labels: {version: v2}}
---
apiVersion: networking.istio.io/v1
kind: DestinationRule
metadata: {name: origin, namespace: warm-up}
spec:
  host: ${host}
  subsets:
  - {name: v1, labels: {version: v1}}
  - {name: v2, labels: {version: v2}}
---
apiVersion: networking.istio.io/v1
kind: VirtualService
metadata: {name: origin, namespace: warm-up}
spec:
  hosts: [${host}]
  http:
  - match:
    - uri: {prefix: /}
    timeout: 15s
    route:
    - {destination: {host: ${host}, subset: v1}, weight: 60}
    - {destination: {host: ${host}, subset: v2}, weight: 40}
`;
  const { resources } = readResources([{ file: 'warm-up.yaml', text }]);
  const context = { namespace: 'warm-up', labels: {}, generation: 1, capture: 'none' } as const;
  return compileTable(resources, context).table;
}
