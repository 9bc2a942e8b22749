/**
 * `tracecar inject` and `tracecar uninject`: the webhook's patch for files, without a cluster.
 *
 * Reads Deployments and other workloads, pods and Lists, and prints the documents in their order on
 * standard output; complaints go to standard error as `file:line: ...`. Status 1 and no output when
 * one document cannot be read or a pod is refused. Everything is injected unless a pod says
 * `tracecar.dev/inject: disabled`. The same input gives the same output, byte for byte, and holds no
 * secret: it is made to be kept in a repository.
 */

import { readFileSync } from 'node:fs';
import { readTrustBundle } from '../../src/identity/trust-bundle.ts';
import { UsageError } from '../../src/main/flags.ts';
import { tracecarVersion } from '../../src/main/version.ts';
import { configLimits } from '../../src/model/limits.ts';
import { injectKey } from '../annotations.ts';
import { decide } from '../decide.ts';
import { type InjectionSettings, injectPod } from '../patch.ts';
import type { IdentitySettings } from '../patch-identity.ts';
import { withoutInjection } from '../patch-strip.ts';
import { changePods, type FoundPod, type PodChange } from './pod-documents.ts';
import { type OfflineSettings, readInjectSettings, readUninjectFile } from './settings.ts';

/** Where the programs read and write; a test has its own. */
export interface OfflineOutlets {
  /** A file, or standard input for `-`. May throw. */
  read(file: string): Promise<Buffer>;
  write(text: string): void;
  complain(text: string): void;
}

const systemOutlets: OfflineOutlets = {
  async read(file) {
    if (file !== '-') return readFileSync(file);
    const chunks: Buffer[] = [];
    for await (const chunk of process.stdin) chunks.push(chunk);
    return Buffer.concat(chunks);
  },
  write: (text) => void process.stdout.write(text),
  complain: (text) => void process.stderr.write(text),
};

/** Gives the exit status. Throws UsageError for a mistake in the flags or a file that is not there. */
export async function runInject(
  args: readonly string[],
  outlets: OfflineOutlets = systemOutlets,
): Promise<number> {
  const settings = readInjectSettings(args, process.env);
  const identity = await readIdentity(settings, outlets);
  return runChange('inject', settings.file, outlets, (found) =>
    injectFound(found, settings, identity),
  );
}

/** Gives the exit status. Throws UsageError for a mistake in the flags or a file that is not there. */
export async function runUninject(
  args: readonly string[],
  outlets: OfflineOutlets = systemOutlets,
): Promise<number> {
  const file = readUninjectFile(args, process.env);
  return runChange('uninject', file, outlets, ({ pod }) => ({
    pod: withoutInjection(pod),
    errors: [],
    warnings: [],
  }));
}

async function runChange(
  program: string,
  file: string,
  outlets: OfflineOutlets,
  change: (found: FoundPod) => PodChange,
): Promise<number> {
  const bytes = await readBytes(file, outlets);
  const shownFile = file === '-' ? 'stdin' : file;
  const text = textOf(bytes);
  if (text === undefined) {
    outlets.complain(`${shownFile}:1: error: this is no text in UTF-8\n`);
    return 1;
  }
  const result = changePods(text, change);
  for (const { severity, line, message } of result.complaints) {
    outlets.complain(`${shownFile}:${line}: ${severity}: ${message}\n`);
  }
  if (result.complaints.some(({ severity }) => severity === 'error')) return 1;
  outlets.write(result.text);
  if (result.changed === 0) outlets.complain(`tracecar ${program}: nothing was changed\n`);
  return 0;
}

/** Throws UsageError for roots that cannot be read. */
async function readIdentity(
  { identity }: OfflineSettings,
  outlets: OfflineOutlets,
): Promise<IdentitySettings | undefined> {
  if (identity === undefined) return undefined;
  const { authority, bundleFile, trustDomain } = identity;
  const bundle = readTrustBundle((await readBytes(bundleFile, outlets)).toString('utf8'));
  if ('problem' in bundle) throw new UsageError(`--trust-bundle ${bundleFile}: ${bundle.problem}`);
  return { authority, trustDomain, trustBundle: bundle.pem };
}

async function readBytes(file: string, outlets: OfflineOutlets): Promise<Buffer> {
  let bytes: Buffer;
  try {
    bytes = await outlets.read(file);
  } catch (error) {
    throw new UsageError(`cannot read ${file}: ${error instanceof Error ? error.message : error}`);
  }
  if (bytes.length > configLimits.fileBytesMax) {
    throw new UsageError(`${file} is larger than ${configLimits.fileBytesMax} bytes`);
  }
  return bytes;
}

/** Undefined for what is neither YAML nor JSON: both forbid control characters (YAML 1.2.2, 5.1). */
function textOf(bytes: Buffer): string | undefined {
  try {
    const text = new TextDecoder('utf-8', { fatal: true }).decode(bytes);
    return /[\x00-\x08\x0b\x0c\x0e-\x1f\x7f]/.test(text) ? undefined : text;
  } catch {
    return undefined;
  }
}

function injectFound(
  found: FoundPod,
  settings: OfflineSettings,
  identity: IdentitySettings | undefined,
): PodChange {
  const namespace = {
    name: found.namespace || settings.namespace,
    labels: { [injectKey]: 'enabled' },
    annotations: {},
  };
  const injection: InjectionSettings = {
    image: settings.image,
    imagePullPolicy: settings.imagePullPolicy,
    version: tracecarVersion(),
    propagation: settings.propagation,
    otlpEndpoint: settings.otlpEndpoint,
    drainSecret: '',
    ...(identity === undefined ? {} : { identity }),
    ...(found.workload === undefined ? {} : { workload: found.workload }),
  };
  const decision = decide(found.pod, namespace, injection);
  if (decision.refuse) return { pod: found.pod, errors: [decision.reason], warnings: [] };
  return {
    pod: decision.inject ? injectPod(found.pod, namespace, injection) : found.pod,
    errors: [],
    warnings: decision.warnings.map((each) => each.replace(/^tracecar: /, '')),
  };
}
