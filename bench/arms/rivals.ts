/**
 * The rivals that are not on Node.js: Envoy in two forms, HAProxy, nginx and Pingora.
 *
 * Their configurations are in bench/rivals/, with what was set in their favour and why.
 */

import type { Arm, ArmCommand, ArmPlace } from './arm.ts';
import { fillTemplate, findRival, nginxArguments, pathOf } from './find.ts';

export const rivalArms: readonly Arm[] = [
  {
    name: 'envoy',
    label: 'Envoy',
    setting: 'router only, --concurrency 1, no request ids, no dynamic stats, no circuit breaking',
    find: () => findRival('envoy'),
    prepare: (place) => envoyCommand('rivals/envoy.yaml', place),
  },
  {
    name: 'envoy-otel',
    label: 'Envoy, 100 % exported',
    setting: 'the same with its OpenTelemetry tracer at 100 %, OTLP/HTTP, 512 spans an export',
    find: () => findRival('envoy'),
    prepare: (place) => envoyCommand('rivals/envoy-otel.yaml', place),
  },
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

function envoyCommand(file: string, place: ArmPlace): ArmCommand {
  return {
    command: pathOf('envoy'),
    args: [
      ...['-c', fillTemplate(file, place)],
      ...['--concurrency', '1', '--disable-hot-restart', '-l', 'error'],
    ],
  };
}
