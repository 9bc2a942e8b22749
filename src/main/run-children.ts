/**
 * The three programs of `tracecar run`: `tracecar init` writes the rules, the sidecar takes connections,
 * then the command starts. Each ends when we are killed, whatever by.
 *
 * The command has our terminal, our user and our environment, and hears every signal that we hear.
 */

import { type ChildProcess, spawn } from 'node:child_process';
import { accessSync, constants, existsSync, statSync } from 'node:fs';
import { constants as system } from 'node:os';
import { delimiter, join, resolve } from 'node:path';
import { isatty } from 'node:tty';
import { fileURLToPath } from 'node:url';
import type { Environment } from './flags.ts';
import { StartError } from './listen-problem.ts';
import type { RunNetwork } from './run-network.ts';
import { whyUnreadable } from './run-readable.ts';
import type { RunSettings } from './run-settings.ts';
import { bundledWorker } from './version.ts';

/** The user of sidecars; `tracecar init` lets its connections pass. */
const proxyUid = '1337';
const sidecarUser = [
  ...['--reuid', proxyUid, '--regid', proxyUid, '--clear-groups', '--no-new-privs'],
  ...['--bounding-set=-all', '--inh-caps=-all'],
];
const patienceSeconds = '30';

/** This very command, be it the sources or a bundle. */
const tracecar = [process.execPath, ...process.execArgv, process.argv[1] ?? ''];

function start(
  network: RunNetwork,
  user: readonly string[],
  command: readonly string[],
  options: { env: Environment; stdio: 'inherit' | 'ignore'; isApart: boolean },
): ChildProcess {
  const privileges = ['setpriv', '--pdeathsig', 'KILL', ...user, '--'];
  return spawn('ip', ['netns', 'exec', network.namespace, ...privileges, ...command], {
    env: options.env,
    stdio: options.stdio === 'inherit' ? 'inherit' : ['ignore', 'ignore', 'inherit'],
    // Apart from our terminal: Ctrl-C there is for the command.
    detached: options.isApart,
  });
}

/** Of our own programs: NODE_OPTIONS (an inspector, a preload) are meant for the command. */
function programEnvironment(): Environment {
  return { ...process.env, NODE_OPTIONS: undefined };
}

/** Throws StartError when the sidecar's user may not read its program or its configuration. */
export function checkReadable({ config, identityFiles }: RunSettings): void {
  const install = 'install it where everybody may read it, such as /usr/local';
  const move = 'move it to where everybody may read it, such as /opt';
  const problem = whyUnreadable(sidecarUser, proxyUid, [
    { path: resolve(tracecar.at(-1)!), what: 'tracecar itself', remedy: move },
    { path: process.execPath, what: 'Node.js', remedy: install },
    ...config.map((path) => ({
      path: resolve(path),
      what: '--config',
      remedy: 'copy it to where everybody may read it, such as /etc/tracecar',
    })),
    ...identityFiles.map(({ flag, path }) => ({
      ...{ path, what: flag },
      remedy: `let that user alone read it: chown ${proxyUid} ${path}`,
    })),
  ]);
  if (problem !== undefined) throw new StartError(problem);
}

/** Starts it; what it complains of goes to our stderr. */
export function startSidecar(
  network: RunNetwork,
  settings: RunSettings,
  variables: Environment,
): ChildProcess {
  const { config, labels, namespace, serviceName } = settings;
  const flags = [
    ...['--capture=redirect', '--log-level=error', '--drain-seconds=0', `--namespace=${namespace}`],
    ...config.map((path) => `--config=${resolve(path)}`),
    ...(labels === '' ? [] : [`--labels=${labels}`]),
  ];
  const own = { OTEL_SERVICE_NAME: serviceName, ...settings.identity, ...variables };
  const env = { ...programEnvironment(), ...own };
  return start(network, sidecarUser, [...tracecar, 'proxy', ...flags], {
    env: { ...env, POD_IPS: network.addresses.join(',') },
    stdio: 'ignore',
    isApart: true,
  });
}

/** Writes the rules and resolves once the sidecar takes connections. Throws StartError. */
export async function awaitSidecar(
  network: RunNetwork,
  settings: RunSettings,
  sidecar: ChildProcess,
): Promise<void> {
  const flags = [...settings.skipFlags, '--proxy-uid', proxyUid, '--await-proxy', patienceSeconds];
  const init = start(network, [], [...tracecar, 'init', ...flags], {
    env: programEnvironment(),
    stdio: 'ignore',
    isApart: true,
  });
  const ended = await Promise.race([statusOf(init), statusOf(sidecar).then(() => 'lost' as const)]);
  if (ended === 0) return;
  init.kill('SIGKILL');
  // What it was is on stderr already, in the words of the program.
  throw new StartError(
    ended === 'lost' ? 'the sidecar did not start' : 'the sidecar takes no connections',
  );
}

/** Where the preload is: beside the bundle, or in its folder of the sources. */
function preloadPath(): string {
  const name = 'preload/tracecar-propagate.cjs';
  const places = [`./${name}`, `../../injector/${name}`].map((place) =>
    fileURLToPath(new URL(place, import.meta.url)),
  );
  return places.find((place) => existsSync(place)) ?? places[0]!;
}

/** Node reads a quoted path with these two escaped. */
const quoted = (path: string) => `"${path.replace(/[\\"]/g, '\\$&')}"`;

/** What dist/tracecar sets for itself (tools/build.ts) is none of the command's business. */
const ownVariables = { MALLOC_ARENA_MAX: undefined, MALLOC_TRIM_THRESHOLD_: undefined };

export function startCommand(network: RunNetwork, settings: RunSettings): ChildProcess {
  const own = process.env.NODE_OPTIONS ?? '';
  const cleared = bundledWorker('telemetry-worker') !== undefined ? ownVariables : {};
  const nodeOptions = settings.hasPreload
    ? { NODE_OPTIONS: `--require ${quoted(preloadPath())} ${own}`.trimEnd() }
    : {};
  return start(network, [], settings.command, {
    env: { ...process.env, ...cleared, ...nodeOptions },
    stdio: 'inherit',
    isApart: false,
  });
}

/** Why a shell would not start `program`, and with which status; undefined when it would. */
export function whyNotRunnable(
  program: string,
  path: string,
): { problem: string; status: number } | undefined {
  const folders = program.includes('/') ? [''] : path.split(delimiter);
  const found = folders
    .map((folder) => (program.includes('/') ? program : join(folder || '.', program)))
    .filter(isFile);
  if (found.length === 0) return { problem: `there is no program ${program}`, status: 127 };
  if (found.some(isExecutable)) return undefined;
  return { problem: `${found[0]} is not executable`, status: 126 };
}

function isFile(path: string): boolean {
  try {
    return statSync(path).isFile();
  } catch {
    return false;
  }
}

function isExecutable(file: string): boolean {
  try {
    accessSync(file, constants.X_OK);
    return true;
  } catch {
    return false;
  }
}

/** Signals that a program may want; a terminal sends the first two to its whole group by itself. */
const fromTerminal = ['SIGINT', 'SIGQUIT'] as const;
const passedOn = ['SIGTERM', 'SIGHUP', 'SIGUSR1', 'SIGUSR2'] as const;

/** Whether somebody may send the first two from a keyboard. */
export function hasTerminal(): boolean {
  return [0, 1, 2].some((descriptor) => isatty(descriptor));
}

/**
 * Passes on what we hear to the child that `target` names, from now on until the process ends.
 * `hasHeard`: whether that child has heard a signal of the terminal by itself.
 */
export function passSignals(
  target: (signal: NodeJS.Signals) => void,
  hasHeard: (signal: NodeJS.Signals) => Promise<boolean>,
): void {
  for (const signal of fromTerminal) {
    process.on(signal, async () => {
      if (!(await hasHeard(signal))) target(signal);
    });
  }
  for (const signal of passedOn) process.on(signal, () => target(signal));
}

/** The exit status as a shell has it: 128 and the number of the signal that ended it. */
export function statusOf(child: ChildProcess): Promise<number> {
  const { exitCode, signalCode } = child;
  if (exitCode !== null || signalCode !== null)
    return Promise.resolve(asStatus(exitCode, signalCode));
  return new Promise((settle) => {
    child.once('error', () => settle(127));
    child.once('exit', (code, signal) => settle(asStatus(code, signal)));
  });
}

export function asStatus(code: number | null, signal: NodeJS.Signals | null): number {
  return signal === null ? (code ?? 1) : 128 + system.signals[signal];
}
