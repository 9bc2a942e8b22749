/**
 * The arms: every program that is measured, how it is found and how it is started.
 *
 * Their configurations stand beside them in rivals/ and tracecar.yaml, with what was set in a rival's
 * favour and why. An arm that cannot be started here is missing, with the command that helps: it is
 * named in the result, never left out.
 */

import { readdirSync, readFileSync, statSync, writeFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import { join, resolve } from 'node:path';
import { findPeer, installCommand } from '../tools/peers.ts';
import { benchHost } from './load-order.ts';

/** Where one copy of an arm listens and what it forwards to. */
export interface ArmPlace {
  readonly port: number;
  readonly backendPort: number;
  readonly secondBackendPort: number;
  readonly collectorPort: number;
  /** A folder of its own for configuration and run files. */
  readonly directory: string;
}

export interface ArmCommand {
  readonly command: string;
  readonly args: readonly string[];
  readonly environment?: Readonly<Record<string, string>>;
}

export interface FoundArm {
  readonly version: string;
  readonly program: string;
}

export interface MissingArm {
  readonly missing: string;
  /** What to run to have it. */
  readonly install: string;
}

export interface Arm {
  readonly name: string;
  readonly label: string;
  /** In the result file and the report: what it does here, in a few words. */
  readonly setting: string;
  find(): FoundArm | MissingArm;
  /** Writes the configuration of one copy and says how to start it. */
  prepare(place: ArmPlace): ArmCommand;
}

/** The arm without a proxy; it stands twice in every round, which shows the noise. */
export const directNames = ['direct', 'direct-again'] as const;

const root = resolve(import.meta.dirname, '..');

export const arms: readonly Arm[] = [
  {
    name: 'tracecar',
    label: 'Tracecar',
    setting:
      'one rule, two subsets 60/40, metrics on, a record and a traceparent for each request, ' +
      'parentbased_traceidratio 0.01, collector up',
    find: findTracecar,
    prepare: prepareTracecar,
  },
  {
    name: 'envoy',
    label: 'Envoy',
    setting: 'router only, --concurrency 1, no request ids, no dynamic stats, no circuit breaking',
    find: () => findRival('envoy'),
    prepare: (place) => ({
      command: pathOf('envoy'),
      args: [
        ...['-c', fillTemplate('rivals/envoy.yaml', place)],
        ...['--concurrency', '1', '--disable-hot-restart', '-l', 'error'],
      ],
    }),
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
    name: 'http-proxy',
    label: 'http-proxy',
    setting: 'npm package with a keep-alive agent',
    find: () => ({ version: packageVersion('http-proxy'), program: 'bench/rivals/http-proxy.ts' }),
    prepare: (place) => nodeCommand('http-proxy.ts', place),
  },
  {
    name: 'floor',
    label: 'bare Node.js',
    setting: 'raw sockets, one head scan, traceparent added: what no Node.js proxy gets below',
    find: () => ({ version: process.versions.node, program: 'bench/rivals/floor.ts' }),
    prepare: (place) => nodeCommand('floor.ts', place),
  },
];

/** nginx's arguments for one configuration, whose relative paths then are in `directory`. */
export function nginxArguments(directory: string, configuration: string): readonly string[] {
  return ['-p', directory, '-e', 'stderr', '-c', configuration];
}

/** Copies a file of bench/ into the place's folder with every {{NAME}} replaced; returns its path. */
export function fillTemplate(
  file: string,
  place: ArmPlace,
  more: Readonly<Record<string, string>> = {},
): string {
  const values: Readonly<Record<string, string | number>> = {
    PORT: place.port,
    BACKEND: place.backendPort,
    SECOND: place.secondBackendPort,
    HOST: benchHost,
    ...more,
  };
  const text = readFileSync(join(import.meta.dirname, file), 'utf8').replaceAll(
    /\{\{([A-Z]+)\}\}/g,
    (all, name: string) => String(values[name] ?? all),
  );
  const path = join(place.directory, file.slice(file.lastIndexOf('/') + 1));
  writeFileSync(path, text);
  return path;
}

function findRival(name: string): FoundArm | MissingArm {
  const found = findPeer(name);
  if (found === undefined) return { missing: 'not installed', install: installCommand([name]) };
  return { version: found.version, program: found.path.replace(`${root}/`, '') };
}

function pathOf(name: string): string {
  const found = findPeer(name);
  if (found === undefined) throw new Error(`${name} is gone; run: ${installCommand([name])}`);
  return found.path;
}

function packageVersion(name: string): string {
  const { version } = createRequire(import.meta.url)(`${name}/package.json`) as { version: string };
  return version;
}

function nodeCommand(file: string, place: ArmPlace): ArmCommand {
  return {
    command: process.execPath,
    // http-proxy is old enough to call what Node.js deprecates; the warning costs nothing per request.
    args: [
      '--disable-warning=DeprecationWarning',
      join(import.meta.dirname, 'rivals', file),
      String(place.port),
      String(place.backendPort),
    ],
  };
}

/** The bundle as users run it; the sources while there is none or they are newer than it. */
function findTracecar(): FoundArm | MissingArm {
  const program = chooseTracecar();
  if (program === undefined) {
    return { missing: 'src/main/proxy.ts is not there yet', install: 'a checkout that has it' };
  }
  const { version } = JSON.parse(readFileSync(join(root, 'package.json'), 'utf8'));
  return { version: `${version} on Node.js ${process.versions.node}`, program };
}

function chooseTracecar(): 'dist/tracecar' | 'src/cli/tracecar.ts' | undefined {
  const sourcesAt = newestChange(join(root, 'src'));
  if (changedAt(join(root, 'dist/tracecar')) >= sourcesAt) return 'dist/tracecar';
  return changedAt(join(root, 'src/main/proxy.ts')) > 0 ? 'src/cli/tracecar.ts' : undefined;
}

function prepareTracecar(place: ArmPlace): ArmCommand {
  const bundled = chooseTracecar() === 'dist/tracecar';
  fillTemplate('tracecar.yaml', place);
  const args = [
    ...['proxy', '--config', place.directory, '--namespace', 'bench', '--access-log', 'off'],
    ...['--admin', '127.0.0.1:0', '--health', '127.0.0.1:0', '--metrics', '127.0.0.1:0'],
  ];
  return {
    command: bundled ? join(root, 'dist/tracecar') : process.execPath,
    args: bundled ? args : [join(root, 'src/cli/tracecar.ts'), ...args],
    environment: {
      OTEL_SERVICE_NAME: 'bench',
      OTEL_TRACES_SAMPLER: 'parentbased_traceidratio',
      OTEL_TRACES_SAMPLER_ARG: '0.01',
      OTEL_EXPORTER_OTLP_ENDPOINT: `http://127.0.0.1:${place.collectorPort}`,
    },
  };
}

function newestChange(folder: string): number {
  let newest = 0;
  for (const entry of readdirSync(folder, { withFileTypes: true, recursive: true })) {
    if (!entry.isFile()) continue;
    newest = Math.max(newest, changedAt(join(entry.parentPath, entry.name)));
  }
  return newest;
}

/** 0 when the file is not there. */
function changedAt(path: string): number {
  return statSync(path, { throwIfNoEntry: false })?.mtimeMs ?? 0;
}
