/**
 * Tracecar as an arm: the bundle as users run it, or the sources while there is none.
 *
 * Everything on that a default sidecar has; the configuration is tracecar.yaml beside this file. Every
 * other form is the same program with other variables, flags or resources, made by `tracecarVariant`.
 */

import { createHash } from 'node:crypto';
import { readdirSync, readFileSync, statSync } from 'node:fs';
import { join } from 'node:path';
import { launcherEnvironment, sidecarFlags } from '../../tools/launcher.ts';
import type { Arm, ArmCommand, ArmPlace, FoundArm, MissingArm } from './arm.ts';
import { fillText, readTemplate, root } from './find.ts';

/** What a variant has of its own; what it does not name is as in the arm `tracecar`. */
export interface TracecarChange {
  /** Resources instead of tracecar.yaml, with the same {{NAME}}s. */
  readonly yaml?: string;
  /** Environment variables, laid over the others. */
  readonly environment?: Readonly<Record<string, string>>;
  /** Flags of `tracecar proxy`, after the others. */
  readonly args?: readonly string[];
}

const common = 'one rule, two subsets 60/40, metrics on';
const spans = 'a record and a traceparent for each request';

/** One form of Tracecar as an arm; a scenario may make its own. */
export function tracecarVariant(
  name: string,
  label: string,
  setting: string,
  change: TracecarChange = {},
): Arm {
  const prepare = (place: ArmPlace) => tracecarCommand(place, change);
  return { name, label, setting, find: findTracecar, prepare };
}

/** The environment that samples this share of new traces, 0 to 1. */
export function sampling(ratio: number): Readonly<Record<string, string>> {
  return {
    OTEL_TRACES_SAMPLER: 'parentbased_traceidratio',
    OTEL_TRACES_SAMPLER_ARG: String(ratio),
  };
}

const onePercent = `${common}, ${spans}, 1 % sampled and exported, collector up`;

export const tracecarArms: readonly Arm[] = [
  tracecarVariant('tracecar', 'Tracecar', onePercent),
  tracecarVariant('tracecar-aa', 'Tracecar, again', `a second one, the same: ${onePercent}`),
  tracecarVariant(
    'tracecar-100',
    'Tracecar, 100 % exported',
    `${common}, ${spans}, every span exported, collector up`,
    { environment: sampling(1) },
  ),
  tracecarVariant('tracecar-0', 'Tracecar, 0 % sampled', `${common}, ${spans}, none exported`, {
    environment: sampling(0),
  }),
  tracecarVariant(
    'tracecar-off',
    'Tracecar, tracing off',
    `${common}; OTEL_SDK_DISABLED: no traceparent, no telemetry worker`,
    { environment: { OTEL_SDK_DISABLED: 'true' } },
  ),
];

function findTracecar(): FoundArm | MissingArm {
  const program = chooseTracecar();
  if (program === undefined) {
    return { missing: 'src/main/proxy.ts is not there yet', install: 'a checkout that has it' };
  }
  const version = describeTracecar();
  return program === 'dist/tracecar'
    ? { version, program, build: hashBundle() }
    : { version, program };
}

/** Of every file that the sidecar may load; a few characters of it. */
function hashBundle(): string {
  const hash = createHash('sha256');
  const dist = join(root, 'dist');
  for (const name of readdirSync(dist).sort()) {
    // The kept code of V8 is made of the bundle and may differ from build to build.
    if (name === 'tracecar' || name.endsWith('.cjs')) {
      hash.update(`${name}\n`).update(readFileSync(join(dist, name)));
    }
  }
  return hash.digest('hex').slice(0, 12);
}

/** Its version and that of the Node.js it runs on. */
export function describeTracecar(): string {
  const { version } = JSON.parse(readFileSync(join(root, 'package.json'), 'utf8'));
  return `${version} on Node.js ${process.versions.node}`;
}

/** Whether the bundle runs: else the sources, because they are newer. */
export function isBundled(): boolean {
  return chooseTracecar() === 'dist/tracecar';
}

/** What the bundle is made of and by, besides src/. */
const madeBy = ['tools/build.ts', 'tools/launcher.ts', 'tools/koffi-copy.ts', 'package-lock.json'];

/** The sources when they, or what builds the bundle, are newer than it. */
function chooseTracecar(): 'dist/tracecar' | 'src/cli/tracecar.ts' | undefined {
  const sourcesAt = Math.max(
    newestChange(join(root, 'src')),
    ...madeBy.map((file) => changedAt(join(root, file))),
  );
  if (changedAt(join(root, 'dist/tracecar')) >= sourcesAt) return 'dist/tracecar';
  return changedAt(join(root, 'src/main/proxy.ts')) > 0 ? 'src/cli/tracecar.ts' : undefined;
}

/** Writes the resources into the place's folder; how one copy is started. */
export function tracecarCommand(place: ArmPlace, change: TracecarChange): ArmCommand {
  const bundled = isBundled();
  fillText(change.yaml ?? readTemplate('arms/tracecar.yaml'), 'tracecar.yaml', place);
  const args = [
    ...['proxy', '--config', place.directory, '--namespace', 'bench', '--access-log', 'off'],
    ...['--admin', `127.0.0.1:${place.adminPort}`, '--health', '127.0.0.1:0'],
    ...['--metrics', `127.0.0.1:${place.metricsPort}`],
    ...(change.args ?? []),
  ];
  return {
    command: bundled ? join(root, 'dist/tracecar') : process.execPath,
    args: bundled ? args : [...sidecarFlags, join(root, 'src/cli/tracecar.ts'), ...args],
    environment: {
      ...launcherEnvironment,
      OTEL_SERVICE_NAME: 'bench',
      ...sampling(0.01),
      OTEL_EXPORTER_OTLP_ENDPOINT: `http://127.0.0.1:${place.collectorPort}`,
      ...change.environment,
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
