/**
 * What `tracecar run` is told: flags before `--`, the command behind it.
 *
 * Plain data out. Ports and prefixes that are skipped are only passed on: `tracecar init` reads them,
 * and complains of them.
 */

import { isIPv4 } from 'node:net';
import { basename, resolve } from 'node:path';
import { type Environment, type Flag, readFlags, UsageError, variableOf } from './flags.ts';
import { proxyFlags, readLabels } from './proxy-settings.ts';

const ofProxy = (name: string): Flag => proxyFlags.find((flag) => flag.name === name)!;

const identity = ['identity', 'token', 'trust-bundle', 'trust-domain', 'service-account'].map(
  ofProxy,
);

export const runFlags: readonly Flag[] = [
  ofProxy('config'),
  ofProxy('namespace'),
  ofProxy('labels'),
  ...identity,
  {
    name: 'service-name',
    value: 'NAME',
    otherwise: 'OTEL_SERVICE_NAME, else the label app, else what COMMAND is called',
    help: 'name of its spans',
  },
  {
    name: 'address',
    value: 'IPV4',
    otherwise: '169.254.N.2',
    help: 'address that COMMAND has, for others on this machine',
  },
  {
    name: 'propagation',
    value: 'node|off',
    choices: ['node', 'off'],
    otherwise: 'node',
    help: 'node: NODE_OPTIONS gets the preload that joins the spans of Node.js applications',
  },
  {
    name: 'skip-inbound-ports',
    variable: 'TRACECAR_SKIP_IN',
    value: 'PORTS',
    otherwise: '',
    help: 'ports of COMMAND that callers reach directly: 22,9000-9010',
  },
  {
    name: 'skip-outbound-ports',
    variable: 'TRACECAR_SKIP_OUT',
    value: 'PORTS',
    otherwise: '',
    help: 'ports elsewhere that COMMAND reaches directly',
  },
  {
    name: 'skip-outbound-cidrs',
    variable: 'TRACECAR_SKIP_CIDR',
    value: 'CIDRS',
    otherwise: '',
    help: 'addresses that COMMAND reaches directly: 10.0.0.0/8',
  },
  {
    name: 'quiet',
    value: '',
    otherwise: '',
    help: 'prints no line of its own while all is well',
  },
];

export interface RunSettings {
  /** Program and arguments, at least one. */
  readonly command: readonly string[];
  readonly config: readonly string[];
  readonly namespace: string;
  readonly labels: string;
  readonly serviceName: string;
  /** Of the sidecar's identity, as the variables that it reads; files by their whole path. */
  readonly identity: Readonly<Record<string, string>>;
  /** Of those: files that the sidecar's user has to be able to read, by flag. */
  readonly identityFiles: readonly { readonly flag: string; readonly path: string }[];
  /** Undefined: one is chosen. */
  readonly address: string | undefined;
  readonly hasPreload: boolean;
  /** For `tracecar init`. */
  readonly skipFlags: readonly string[];
  readonly isQuiet: boolean;
}

/** Throws UsageError unless it can be the address of one machine. */
function checkAddress(address: string): void {
  if (!isIPv4(address)) {
    throw new UsageError(`--address is an IPv4 address such as 10.7.7.2, not '${address}'`);
  }
  const first = Number.parseInt(address, 10);
  if (first > 0 && first !== 127 && first < 224) return;
  const why = first === 127 ? 'is a loopback, which every machine has' : 'is that of no machine';
  throw new UsageError(`--address ${address} ${why}; choose one that nobody has, as 10.7.7.2`);
}

/** Throws UsageError with one line about the first mistake. */
export function readRunSettings(args: readonly string[], environment: Environment): RunSettings {
  const end = args.indexOf('--');
  const command = end === -1 ? [] : args.slice(end + 1);
  const typed = end === -1 ? args : args.slice(0, end);
  const { values } = readFlags(runFlags, typed, environment);
  const text = (name: string) => values.get(name)?.[0];
  const [program] = command;
  if (program === undefined || program === '') {
    throw new UsageError('needs a command behind `--`: tracecar run -- node app.js');
  }
  const labels = text('labels') ?? '';
  const address = text('address');
  if (address !== undefined) checkAddress(address);
  const given = identity.flatMap((flag) => {
    const value = text(flag.name);
    if (value === undefined) return [];
    const isFile = flag.isPath === true && !value.includes('-----BEGIN');
    return [{ flag, isFile, value: isFile ? resolve(value) : value }];
  });
  const skips = ['skip-inbound-ports', 'skip-outbound-ports', 'skip-outbound-cidrs'];
  return {
    command,
    config: values.get('config') ?? [],
    namespace: text('namespace') ?? 'default',
    labels,
    serviceName:
      // An empty variable names nothing; what is typed wins over all of them.
      text('service-name') ||
      environment.OTEL_SERVICE_NAME ||
      readLabels(labels).app ||
      basename(program),
    identity: Object.fromEntries(given.map(({ flag, value }) => [variableOf(flag), value])),
    identityFiles: given
      .filter(({ isFile }) => isFile)
      .map(({ flag, value }) => ({ flag: `--${flag.name}`, path: value })),
    address,
    hasPreload: text('propagation') !== 'off',
    skipFlags: skips.flatMap((name) => {
      const value = text(name);
      return value === undefined ? [] : [`--${name}=${value}`];
    }),
    isQuiet: values.has('quiet'),
  };
}
