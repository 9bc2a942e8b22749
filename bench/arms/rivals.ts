/**
 * The rivals that are not on Node.js: Envoy in three forms, HAProxy, nginx and Pingora.
 *
 * Their configurations are in bench/rivals/, with what was set in their favour and why.
 */

import type { Arm, ArmPlace } from './arm.ts';
import { fillTemplate, fillText, findRival, nginxArguments, pathOf, readTemplate } from './find.ts';

export const rivalArms: readonly Arm[] = [
  envoyArm(
    'envoy',
    'Envoy',
    'router only, --concurrency 1, no request ids, no dynamic stats, no circuit breaking',
    (place) => fillTemplate('rivals/envoy.yaml', place),
  ),
  envoyArm(
    'envoy-no-stats',
    'Envoy, no statistics',
    'the same with every statistic rejected: beyond what a sidecar in use can do without',
    fillWithoutStatistics,
  ),
  envoyArm(
    'envoy-otel',
    'Envoy, 100 % exported',
    'as the first with its OpenTelemetry tracer at 100 %, OTLP/HTTP, 512 spans an export',
    (place) => fillTemplate('rivals/envoy-otel.yaml', place),
  ),
  {
    name: 'haproxy',
    label: 'HAProxy',
    setting: 'one thread, http-reuse always, no log',
    find: () => findRival('haproxy'),
    prepare: (place) => ({
      command: pathOf('haproxy'),
      args: ['-db', '-f', fillTemplate('rivals/haproxy.cfg', place)],
    }),
  },
  {
    name: 'nginx',
    label: 'nginx',
    setting: 'one process, upstream keep-alive, no log',
    find: () => findRival('nginx'),
    prepare: (place) => ({
      command: pathOf('nginx'),
      args: nginxArguments(place.directory, fillTemplate('rivals/nginx.conf', place)),
    }),
  },
  {
    name: 'pingora',
    label: 'Pingora',
    setting: 'the Rust framework with nothing but a hop, one thread, release build, no log',
    find: () => findRival('pingora'),
    prepare: (place) => ({
      command: pathOf('pingora'),
      args: [String(place.port), String(place.backendPort)],
    }),
  },
];

/** Envoy's own configuration and four lines more, so that the two cannot differ in anything else. */
function fillWithoutStatistics(place: ArmPlace): string {
  const text = readTemplate('rivals/envoy.yaml') + readTemplate('rivals/envoy-no-stats.yaml');
  return fillText(text, 'envoy-no-stats.yaml', place);
}

/** `fill` writes the configuration of one copy and returns its path. */
export function envoyArm(
  name: string,
  label: string,
  setting: string,
  fill: (place: ArmPlace) => string,
): Arm {
  const prepare = (place: ArmPlace) => ({
    command: pathOf('envoy'),
    args: [
      ...['-c', fill(place), '--concurrency', '1'],
      ...['--disable-hot-restart', '-l', 'error'],
    ],
  });
  return { name, label, setting, find: () => findRival('envoy'), prepare };
}
