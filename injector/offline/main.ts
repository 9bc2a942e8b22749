/**
 * `tracecar inject` and `tracecar uninject`: the webhook's patch for files, without a cluster.
 *
 * Reads Deployments and other workloads, pods and Lists, and prints the documents in their order on
 * standard output; complaints go to standard error as `file:line: ...`. Status 1 and no output when
 * one document cannot be read or a pod is refused. Everything is injected unless a pod says
 * `tracecar.dev/inject: disabled`.
 */

import { readFileSync } from 'node:fs';
import { type Random, systemRandom } from '../../src/base/random.ts';
import { UsageError } from '../../src/main/flags.ts';
import { tracecarVersion } from '../../src/main/version.ts';
import { configLimits } from '../../src/model/limits.ts';
import { injectKey } from '../annotations.ts';
import { decide } from '../decide.ts';
import { type InjectionSettings, injectPod } from '../patch.ts';
import { withoutInjection } from '../patch-strip.ts';
import { changePods, type FoundPod, type PodChange } from './pod-documents.ts';
import { type OfflineSettings, readInjectSettings, readUninjectFile } from './settings.ts';

/** Where the programs read and write; a test has its own. */
export interface OfflineOutlets {
  /** The text of a file, or of standard input for `-`. May throw. */
  read(file: string): Promise<string>;
  write(text: string): void;
  complain(text: string): void;
  readonly random: Random;
}

const systemOutlets: OfflineOutlets = {
  async read(file) {
    if (file !== '-') return readFileSync(file, 'utf8');
    const chunks: Buffer[] = [];
    for await (const chunk of process.stdin) chunks.push(chunk);
    return Buffer.concat(chunks).toString('utf8');
  },
  write: (text) => void process.stdout.write(text),
  complain: (text) => void process.stderr.write(text),
  random: systemRandom,
};

/** Gives the exit status. Throws UsageError for a mistake in the flags or a file that is not there. */
export async function runInject(
  args: readonly string[],
  outlets: OfflineOutlets = systemOutlets,
): Promise<number> {
  const settings = readInjectSettings(args, process.env);
  return runChange('inject', settings.file, outlets, (found) =>
    injectFound(found, settings, outlets.random),
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
  const text = await readText(file, outlets);
  const result = changePods(text, change);
  const shownFile = file === '-' ? 'stdin' : file;
  for (const { severity, line, message } of result.complaints) {
    outlets.complain(`${shownFile}:${line}: ${severity}: ${message}\n`);
  }
  if (result.complaints.some(({ severity }) => severity === 'error')) return 1;
  outlets.write(result.text);
  if (result.changed === 0) outlets.complain(`tracecar ${program}: nothing was changed\n`);
  return 0;
}

async function readText(file: string, outlets: OfflineOutlets): Promise<string> {
  let text: string;
  try {
    text = await outlets.read(file);
  } catch (error) {
    throw new UsageError(`cannot read ${file}: ${error instanceof Error ? error.message : error}`);
  }
  if (text.length > configLimits.fileBytesMax) {
    throw new UsageError(`${file} is larger than ${configLimits.fileBytesMax} bytes`);
  }
  return text;
}

function injectFound(found: FoundPod, settings: OfflineSettings, random: Random): PodChange {
  const namespace = {
    name: found.namespace || settings.namespace,
    labels: { [injectKey]: 'enabled' },
    annotations: {},
  };
  const injection: InjectionSettings = {
    image: settings.image,
    imagePullPolicy: 'IfNotPresent',
    version: tracecarVersion(),
    propagation: settings.propagation,
    otlpEndpoint: settings.otlpEndpoint,
    drainSecret: newSecret(random),
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

/** 128 bits: enough against guessing from the network, which is all that it is for. */
function newSecret(random: Random): string {
  const words = Array.from({ length: 4 }, () => random.u32().toString(16).padStart(8, '0'));
  return words.join('');
}
