/**
 * Configuration of many routes, and the requests that reach every one of them. Pure: text and data.
 *
 * Every host has a VirtualService of its own whose rules all lead to the same two subsets, 60 to 40, of
 * one backend: connections upstream are the same however many routes there are, so what differs is
 * routing alone. Rules of a host are tried from the first; requests are spread evenly over all.
 *
 *   host 0 (the bench's own) ──► /route-0/ ... /route-8/, /reviews ─┐
 *   host 1                   ──► the same                           ├──► v1 60, v2 40
 */

import { benchHost, benchPath, type Target } from '../load/load-order.ts';

export interface RouteCount {
  readonly hosts: number;
  /** Of each host; the last one takes the path of every other scenario. */
  readonly rulesPerHost: number;
}

/** Where traffic comes in and where it goes; {{NAMES}} are filled in when a copy is started. */
export const serviceDocuments = `apiVersion: networking.istio.io/v1
kind: Sidecar
metadata: {name: bench, namespace: bench}
spec:
  egress:
  - port: {number: {{PORT}}, protocol: HTTP, name: http-outbound}
    bind: 127.0.0.1
    captureMode: NONE
    hosts: ["./*"]
---
apiVersion: networking.istio.io/v1
kind: ServiceEntry
metadata: {name: backend, namespace: bench}
spec:
  hosts: [${benchHost}]
  location: MESH_INTERNAL
  resolution: STATIC
  ports:
  - {number: 80, name: http, protocol: HTTP}
  endpoints:
  - {address: 127.0.0.1, ports: {http: {{BACKEND}}}, labels: {version: v1}}
  - {address: 127.0.0.1, ports: {http: {{SECOND}}}, labels: {version: v2}}
---
apiVersion: networking.istio.io/v1
kind: DestinationRule
metadata: {name: backend, namespace: bench}
spec:
  host: ${benchHost}
  subsets:
  - {name: v1, labels: {version: v1}}
  - {name: v2, labels: {version: v2}}
`;

/** One VirtualService for each host, from the one numbered `firstHost` on. */
export function routeDocuments({ hosts, rulesPerHost }: RouteCount, firstHost = 0): string {
  return Array.from({ length: hosts - firstHost }, (_, index) =>
    virtualService(firstHost + index, rulesPerHost, ''),
  ).join('');
}

/** The VirtualService of the bench's own host as it is after so many edits: answers carry the number. */
export function editedDocument(rulesPerHost: number, edit: number): string {
  const headers = `    headers: {response: {set: {${editHeader}: "${edit}"}}}\n`;
  return virtualService(0, rulesPerHost, headers);
}

/** The field of an answer that says after which edit its rule was made. */
export const editHeader = 'x-bench-edit';

/** One request for every rule of every host. */
export function routeTargets({ hosts, rulesPerHost }: RouteCount): readonly Target[] {
  return Array.from({ length: hosts * rulesPerHost }, (_, index) => ({
    host: hostOf(Math.floor(index / rulesPerHost)),
    path: `${prefixOf(index % rulesPerHost, rulesPerHost)}/17`,
  }));
}

function virtualService(host: number, rules: number, headers: string): string {
  const entries = Array.from(
    { length: rules },
    (_, rule) => `  - match:
    - uri: {prefix: ${prefixOf(rule, rules)}}
    timeout: 15s
${headers}    route:
    - {destination: {host: ${benchHost}, subset: v1}, weight: 60}
    - {destination: {host: ${benchHost}, subset: v2}, weight: 40}
`,
  );
  return `---
apiVersion: networking.istio.io/v1
kind: VirtualService
metadata: {name: route-${host}, namespace: bench}
spec:
  hosts: [${hostOf(host)}]
  http:
${entries.join('')}`;
}

/** All names are as long as the first. */
function hostOf(host: number): string {
  return host === 0 ? benchHost : `b-${String(host).padStart(5, '0')}.bench.svc.cluster.local`;
}

function prefixOf(rule: number, rules: number): string {
  const last = benchPath.slice(0, benchPath.lastIndexOf('/'));
  return rule === rules - 1 ? last : `/route-${rule}`;
}
