/** What `tracecar check` is told by its flags. Plain data in, plain data out. */

import { usualRootNamespace } from '../config/world/world.ts';
import { type Environment, type Flag, readFlags, UsageError } from './flags.ts';

/** Of this machine's sidecar. */
const usualAdmin = '127.0.0.1:15000';

export const checkFlags: readonly Flag[] = [
  {
    name: 'strict',
    value: '',
    otherwise: '',
    help: 'who would be refused by a PeerAuthentication that says STRICT',
    typedOnly: true,
  },
  {
    name: 'config',
    value: 'PATH',
    repeatable: true,
    isPath: true,
    otherwise: 'all ports STRICT',
    help: 'resources as they are to be: STRICT ports, and names of callers',
    typedOnly: true,
  },
  {
    name: 'root-namespace',
    value: 'NAME',
    otherwise: usualRootNamespace,
    help: 'whose PeerAuthentication without a selector is of all namespaces',
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

export interface CheckSettings {
  /** Admin ports and files with what they answered. */
  readonly sources: readonly string[];
  readonly config: readonly string[];
  readonly rootNamespace: string;
  readonly output: 'text' | 'json';
}

/** Reads the flags. Throws UsageError with one line about the first mistake. */
export function readCheckSettings(
  args: readonly string[],
  environment: Environment,
): CheckSettings {
  const { values, operands } = readFlags(checkFlags, args, environment, Infinity);
  if (!values.has('strict')) {
    throw new UsageError('needs to know what to check: --strict says who would break in STRICT');
  }
  return {
    sources: operands.length > 0 ? operands : [usualAdmin],
    config: values.get('config') ?? [],
    rootNamespace: values.get('root-namespace')?.[0] ?? usualRootNamespace,
    output: values.get('output')?.[0] === 'json' ? 'json' : 'text',
  };
}
