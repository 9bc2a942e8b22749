/**
 * `tracecar ca`: the authority of a mesh, and what a person does with its state.
 *
 * `serve` runs until a signal; the other actions read or change the state that it follows, and end. Status
 * 0 is done, 1 refused (a phase that may not begin yet), 2 a mistake in usage or at the start.
 */

import { mkdir, readFile, rename, stat, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { systemClock, systemWallTime } from '../base/clock.ts';
import { systemWakeUps } from '../base/deadlines.ts';
import { systemRandom } from '../base/random.ts';
import { FolderStore, UnsafeState } from '../identity/state-store.ts';
import type { VerifyToken } from '../identity/token.ts';
import { TokenFile } from '../identity/token-file.ts';
import { makeToken, printBundle, rotateRoot, showStatus } from './ca-actions.ts';
import { type CaInCluster, openCluster } from './ca-kube.ts';
import { CaProgram } from './ca-serve.ts';
import { type CaSettings, readCaSettings } from './ca-settings.ts';
import { TokenReviews } from './ca-token-review.ts';
import { hideMemory } from './hide-memory.ts';
import { StartError } from './listen-problem.ts';
import { Log } from './log.ts';

/** Gives the exit status. Throws UsageError and StartError. */
export async function runCa(args: readonly string[]): Promise<number> {
  const settings = readCaSettings(args, process.env);
  const cluster = settings.isKubernetes
    ? openCluster(process.env, settings.authorityNamespace)
    : undefined;
  if (settings.action === 'serve') return serve(settings, cluster);
  try {
    return await actions[settings.action]({
      settings,
      store: cluster?.store ?? new FolderStore(settings.state, systemWallTime),
      wallTime: systemWallTime,
      random: systemRandom,
      out: (text) => void process.stdout.write(text),
      err: (text) => void process.stderr.write(text),
    });
  } catch (error) {
    throw error instanceof UnsafeState ? new StartError(error.message) : error;
  }
}

const actions = { rotate: rotateRoot, status: showStatus, bundle: printBundle, token: makeToken };

async function serve(settings: CaSettings, cluster: CaInCluster | undefined): Promise<number> {
  hideMemory();
  const log = new Log(settings.logLevel, process.stderr, systemClock);
  const ended = new Promise<string>((resolve) => {
    process.once('SIGTERM', () => resolve('SIGTERM'));
    process.once('SIGINT', () => resolve('SIGINT'));
  });
  const program = new CaProgram({
    settings,
    log,
    store: cluster?.store ?? new FolderStore(settings.state, systemWallTime),
    verify:
      cluster === undefined
        ? openTokens(settings, log)
        : new TokenReviews({ client: cluster.client, wakeUps: systemWakeUps }).verify,
    publish: cluster?.publish ?? ((roots) => writeBundle(settings.state, roots)),
    published: cluster?.published ?? (() => bundleFile(settings.state)),
  });
  const { metrics, sign } = await program.start();
  log.write('info', 'serving', { sign, metrics });
  process.on('SIGHUP', () => void program.reread());
  log.write('info', `${await ended}: ending`);
  await program.close();
  return 0;
}

function openTokens({ state }: CaSettings, log: Log): VerifyToken {
  const file = new TokenFile({
    path: join(state, 'tokens'),
    wallTime: systemWallTime,
    onTrouble: (message) => log.write('error', message),
  });
  return file.verify;
}

/** For sidecars on this machine, and for whoever carries it to others. */
async function writeBundle(folder: string, roots: string): Promise<void> {
  const path = bundlePath(folder);
  if ((await readFile(path, 'utf8').catch(() => '')) === roots) return;
  await mkdir(folder, { recursive: true, mode: 0o711 });
  await writeFile(`${path}.new`, roots, { mode: 0o644 });
  await rename(`${path}.new`, path);
}

/** Where it is, if it is there. */
async function bundleFile(folder: string): Promise<string | undefined> {
  const path = bundlePath(folder);
  return (await stat(path).catch(() => undefined)) === undefined ? undefined : path;
}

function bundlePath(folder: string): string {
  return join(folder, 'bundle.pem');
}
