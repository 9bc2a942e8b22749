/**
 * What `tracecar init` is told by flags and by the variables that the injector sets.
 *
 * Every value becomes a number or a prefix here, or ends the program with one line: a wrong one is
 * never skipped, because that would capture (or leave out) traffic that somebody named.
 */

import { readPortList } from '../../src/base/port-list.ts';
import { type Environment, type Flag, readFlags, UsageError } from '../../src/main/flags.ts';
import { type BackendName, backendNames } from './backend.ts';
import { readPrefixList } from './prefix-list.ts';
import type { RuleOptions } from './rules.ts';

export const initFlags: readonly Flag[] = [
  {
    name: 'skip-inbound-ports',
    variable: 'TRACECAR_SKIP_IN',
    value: 'PORTS',
    otherwise: '',
    help: 'ports of the pod that callers reach directly: 22,9000-9010',
  },
  {
    name: 'skip-outbound-ports',
    variable: 'TRACECAR_SKIP_OUT',
    value: 'PORTS',
    otherwise: '',
    help: 'ports elsewhere that the pod reaches directly',
  },
  {
    name: 'skip-outbound-cidrs',
    variable: 'TRACECAR_SKIP_CIDR',
    value: 'CIDRS',
    otherwise: '',
    help: 'addresses that the pod reaches directly: 10.0.0.0/8,fd00::/8',
  },
  {
    name: 'proxy-uid',
    value: 'UID',
    otherwise: '1337',
    help: 'user of `tracecar proxy`, whose connections are not captured',
  },
  {
    name: 'install-preload',
    value: 'DIR',
    isPath: true,
    otherwise: '',
    help: 'also copies the propagation preload for Node.js into this folder',
  },
  {
    name: 'await-proxy',
    value: 'SECONDS',
    otherwise: '',
    help: 'also waits until the sidecar of this pod takes traffic, at most so long',
  },
  {
    name: 'backend',
    value: 'NAME',
    choices: backendNames,
    otherwise: 'nft',
    help: 'what loads the rules; rules that the other one loaded are taken out',
  },
  {
    name: 'print',
    value: '',
    otherwise: '',
    typedOnly: true,
    help: 'prints the rules and changes nothing',
  },
  {
    name: 'check',
    value: '',
    otherwise: '',
    typedOnly: true,
    help: 'compares the loaded rules with these flags, a line for each difference; status 1',
  },
  {
    name: 'remove',
    value: '',
    otherwise: '',
    typedOnly: true,
    help: 'takes out the rules that any backend has loaded',
  },
];

export type InitAction = 'apply' | 'print' | 'check' | 'remove';

export interface InitOptions {
  readonly rules: RuleOptions;
  /** Absent: no preload is wanted. */
  readonly preloadFolder: string | undefined;
  /** How long to wait for the sidecar; 0: not at all. */
  readonly awaitProxyMs: number;
  readonly backend: BackendName;
  readonly action: InitAction;
}

/** Throws UsageError with one line about the first mistake. */
export function parseInitOptions(args: readonly string[], environment: Environment): InitOptions {
  const { values } = readFlags(initFlags, args, environment);
  const text = (name: string) => values.get(name)?.[0] ?? '';
  return {
    rules: {
      proxyUid: readUid(values.get('proxy-uid')?.[0] ?? '1337'),
      skipInbound: portsOf('skip-inbound-ports', text('skip-inbound-ports')),
      skipOutbound: portsOf('skip-outbound-ports', text('skip-outbound-ports')),
      skipPrefixes: prefixesOf('skip-outbound-cidrs', text('skip-outbound-cidrs')),
    },
    preloadFolder: values.get('install-preload')?.[0],
    awaitProxyMs: readSeconds(text('await-proxy')) * 1_000,
    backend: (values.get('backend')?.[0] ?? 'nft') as BackendName,
    action: readAction(values),
  };
}

function readAction(values: ReadonlyMap<string, unknown>): InitAction {
  const [action = 'apply', other] = (['print', 'check', 'remove'] as const).filter((each) =>
    values.has(each),
  );
  if (other === undefined) return action;
  throw new UsageError(`--${action} and --${other} exclude each other`);
}

function portsOf(flag: string, text: string) {
  const result = readPortList(text);
  if ('problem' in result) throw new UsageError(`--${flag}: ${result.problem}`);
  return result.ranges;
}

function prefixesOf(flag: string, text: string) {
  const result = readPrefixList(text);
  if ('problem' in result) throw new UsageError(`--${flag}: ${result.problem}`);
  return result.prefixes;
}

function readSeconds(text: string): number {
  const seconds = text === '' ? 0 : Number(text);
  if (Number.isInteger(seconds) && seconds >= 0 && seconds <= 3_600) return seconds;
  throw new UsageError(`--await-proxy is a number of seconds from 0 to 3600, not '${text}'`);
}

/** Root's connections must be captured, or an application that runs as root would slip past. */
function readUid(text: string): number {
  const uid = /^[0-9]{1,10}$/.test(text) ? Number(text) : 0;
  if (uid >= 1 && uid < 0xffff_ffff) return uid;
  throw new UsageError(`--proxy-uid is the number of a user other than root, not '${text}'`);
}
