/**
 * What `tracecar validate` is told by its flags. Plain data in, plain data out.
 *
 * Without --labels every Sidecar's view of the configuration is checked; with them the one of that
 * workload, as its proxy would see it.
 */

import { usualRootNamespace } from '../config/world/world.ts';
import { type Environment, type Flag, readFlags, UsageError } from './flags.ts';
import { readLabels } from './proxy-settings.ts';

export const validateFlags: readonly Flag[] = [
  {
    name: 'namespace',
    value: 'NAME',
    otherwise: 'default',
    help: 'of the workload, with --labels; also of documents that name none',
    typedOnly: true,
  },
  {
    name: 'labels',
    value: 'K=V,K=V',
    otherwise: '',
    help: 'check as the workload with these labels sees it; without, as every Sidecar does',
    typedOnly: true,
  },
  {
    name: 'root-namespace',
    value: 'NAME',
    otherwise: usualRootNamespace,
    help: 'whose policies without a selector hold for all namespaces',
    typedOnly: true,
  },
  {
    name: 'capture',
    value: 'none|redirect',
    choices: ['none', 'redirect'],
    otherwise: 'none',
    help: 'redirect: check as an injected pod sees it, which needs no Sidecar',
    typedOnly: true,
  },
  {
    name: 'output',
    value: 'text|json',
    choices: ['text', 'json'],
    otherwise: 'text',
    help: 'for people, or one JSON document for tools',
    typedOnly: true,
  },
];

export interface ValidateSettings {
  readonly paths: readonly string[];
  readonly namespace: string;
  /** Undefined: every Sidecar's view. */
  readonly labels: Readonly<Record<string, string>> | undefined;
  readonly rootNamespace: string;
  readonly capture: 'none' | 'redirect';
  readonly output: 'text' | 'json';
}

/** Reads the flags. Throws UsageError with one line about the first mistake. */
export function readValidateSettings(
  args: readonly string[],
  environment: Environment,
): ValidateSettings {
  const { values, operands } = readFlags(validateFlags, args, environment, Infinity);
  if (operands.length === 0) {
    throw new UsageError('needs a PATH, a YAML file or folder; try examples/ab-rollout');
  }
  const labels = values.get('labels')?.[0];
  return {
    paths: operands,
    namespace: values.get('namespace')?.[0] ?? 'default',
    labels: labels === undefined ? undefined : readLabels(labels),
    rootNamespace: values.get('root-namespace')?.[0] ?? usualRootNamespace,
    capture: values.get('capture')?.[0] === 'redirect' ? 'redirect' : 'none',
    output: values.get('output')?.[0] === 'json' ? 'json' : 'text',
  };
}
