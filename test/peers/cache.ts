/**
 * The folder where built and packed peers are kept, shared by every clone on this machine.
 *
 * A key names its own content (version and hash of what it was made from), so an entry never changes
 * and nothing is ever invalid. An entry appears at once and whole, by rename; whoever makes it holds a
 * lock, so two processes never make the same thing at the same time.
 */

import {
  closeSync,
  existsSync,
  mkdirSync,
  openSync,
  readdirSync,
  readFileSync,
  renameSync,
  rmSync,
  statSync,
  writeSync,
} from 'node:fs';
import { homedir } from 'node:os';
import { basename, dirname, join } from 'node:path';
import { setTimeout as wait } from 'node:timers/promises';
import { isAlive, ownIdentity } from './cluster/identity.ts';

/** `$TRACECAR_PEERS_CACHE`, or ~/.cache/tracecar-peers. */
export const cacheFolder =
  process.env.TRACECAR_PEERS_CACHE ?? join(homedir(), '.cache/tracecar-peers');

/** Where the entry of this key is or would be. */
export function cachePath(key: string): string {
  return join(cacheFolder, key);
}

/**
 * The path of the entry, made by `make` when it is not there. `make` fills the path it is given (which
 * does not exist yet): a file or a folder.
 */
export async function cached(key: string, make: (path: string) => Promise<void>): Promise<string> {
  const path = cachePath(key);
  if (existsSync(path)) return path;
  mkdirSync(dirname(path), { recursive: true });
  return await withLock(key, async () => {
    if (existsSync(path)) return path;
    const unfinished = `${path}.unfinished`;
    rmSync(unfinished, { recursive: true, force: true });
    await make(unfinished);
    renameSync(unfinished, path);
    return path;
  });
}

/** Removes all but the newest `keep` entries whose key begins with `prefix`. */
export function forgetOld(prefix: string, keep: number): void {
  const folder = dirname(cachePath(prefix));
  const entries = readdirSync(folder)
    .filter((name) => name.startsWith(basename(prefix)) && !/\.(lock|unfinished)$/.test(name))
    .map((name) => join(folder, name))
    .sort((one, other) => statSync(other).mtimeMs - statSync(one).mtimeMs);
  for (const path of entries.slice(keep)) rmSync(path, { recursive: true, force: true });
}

/** Runs `body` while no other process of this machine runs one under the same name. */
export async function withLock<T>(name: string, body: () => Promise<T>): Promise<T> {
  const lock = join(cacheFolder, `${name}.lock`);
  mkdirSync(dirname(lock), { recursive: true });
  while (!take(lock)) await wait(100);
  try {
    return await body();
  } finally {
    rmSync(lock, { force: true });
  }
}

function take(lock: string): boolean {
  try {
    const file = openSync(lock, 'wx');
    writeSync(file, ownIdentity());
    closeSync(file);
    return true;
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== 'EEXIST') throw error;
  }
  // A holder that was killed never gives its lock back. An empty file is one that is being written.
  const holder = readIfThere(lock);
  if (holder !== '' && !isAlive(holder)) rmSync(lock, { force: true });
  return false;
}

function readIfThere(path: string): string {
  try {
    return readFileSync(path, 'utf8');
  } catch {
    return '';
  }
}
