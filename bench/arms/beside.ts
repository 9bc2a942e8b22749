/**
 * Arms with a second upstream: the ordinary ones, and what begins with /beside goes to another program.
 *
 * Each is the arm of the same name with a few lines more, put into its own configuration, so that it
 * cannot differ in anything else. HAProxy also has as many connections as the system allows, and does not
 * close them for being idle: elsewhere it has 4096, for a minute.
 */

import { besidePrefix } from '../load/stream-paths.ts';
import type { Arm } from './arm.ts';
import { fillText, pathOf, readTemplate } from './find.ts';
import { envoyArm, rivalArms } from './rivals.ts';
import { tracecarArms, tracecarVariant } from './tracecar.ts';

const besideHost = 'beside.bench.svc.cluster.local';
const setting = 'a second upstream by its path';

export const besideArms: readonly Arm[] = [
  tracecarVariant('tracecar', 'Tracecar', `${settingOf(tracecarArms, 'tracecar')}; ${setting}`, {
    yaml: withBesideRule(readTemplate('arms/tracecar.yaml')),
  }),
  haproxyArm(),
  envoyArm('envoy', 'Envoy', `${settingOf(rivalArms, 'envoy')}; ${setting}, WebSockets`, (place) =>
    fillText(withBesideRoute(readTemplate('rivals/envoy.yaml')), 'envoy.yaml', place),
  ),
];

/** Tracecar's: one more service, and a rule before the others. */
export function withBesideRule(yaml: string): string {
  const rule = `  - name: beside
    match:
    - uri: {prefix: ${besidePrefix}}
    route:
    - destination: {host: ${besideHost}}
`;
  const service = `---
apiVersion: networking.istio.io/v1
kind: ServiceEntry
metadata: {name: beside, namespace: bench}
spec:
  hosts: [${besideHost}]
  location: MESH_INTERNAL
  resolution: STATIC
  ports:
  - {number: 80, name: http, protocol: HTTP}
  endpoints:
  - address: 127.0.0.1
    ports: {http: {{BESIDE}}}
`;
  const first = '  http:\n';
  const hosts = 'hosts: ["./{{HOST}}"]';
  const both = `hosts: ["./{{HOST}}", "./${besideHost}"]`;
  return replaceOnce(replaceOnce(yaml, hosts, both), first, first + rule) + service;
}

/** Envoy's: a route before the others, a cluster, and WebSockets, which it refuses unless told. */
export function withBesideRoute(yaml: string): string {
  const codec = '          codec_type: HTTP1\n';
  const routes = '              routes:\n';
  const route = `              - match: {prefix: "${besidePrefix}"}
                route: {cluster: beside, timeout: 15s}
`;
  const cluster = `  - name: beside
    type: STATIC
    connect_timeout: 1s
    circuit_breakers:
      thresholds:
      - max_connections: 1000000
        max_pending_requests: 1000000
        max_requests: 1000000
        max_retries: 1000000
    load_assignment:
      cluster_name: beside
      endpoints:
      - lb_endpoints:
        - endpoint: {address: {socket_address: {address: 127.0.0.1, port_value: {{BESIDE}}}}}
`;
  const upgrades = '          upgrade_configs: [{upgrade_type: websocket}]\n';
  return replaceOnce(replaceOnce(yaml, codec, codec + upgrades), routes, routes + route) + cluster;
}

/** HAProxy's: another backend by its path, and the limits. */
export function withBesideBackend(configuration: string): string {
  const use = '  default_backend service\n';
  const rule = `  use_backend beside if { path_beg ${besidePrefix} }\n`;
  const backend = 'backend beside\n  server one 127.0.0.1:{{BESIDE}}\n';
  const changes: readonly (readonly [string, string])[] = [
    [use, rule + use],
    ['  maxconn 4096\n', ''],
    // Its manual's advice for answers that come in pieces: else it keeps small ones back.
    ['  mode http\n', '  mode http\n  option http-no-delay\n'],
    ['  timeout client 60s\n', '  timeout client 1h\n'],
  ];
  const changed = changes.reduce((text, [from, to]) => replaceOnce(text, from, to), configuration);
  return changed + backend;
}

function haproxyArm(): Arm {
  const haproxy = rivalArms.find(({ name }) => name === 'haproxy')!;
  return {
    ...haproxy,
    setting: `${haproxy.setting}; ${setting}, idle connections kept, http-no-delay`,
    prepare: (place) => {
      const text = withBesideBackend(readTemplate('rivals/haproxy.cfg'));
      return {
        command: pathOf('haproxy'),
        args: ['-db', '-f', fillText(text, 'haproxy.cfg', place)],
      };
    },
  };
}

function settingOf(arms: readonly Arm[], name: string): string {
  return arms.find((arm) => arm.name === name)!.setting;
}

function replaceOnce(text: string, from: string, to: string): string {
  if (text.split(from).length !== 2) throw new Error(`a configuration has no one line "${from}"`);
  return text.replace(from, () => to);
}
