/**
 * Where an authority keeps its state between starts: a few named texts, each replaced as a whole.
 *
 * A writer says which version it read: when somebody else wrote meanwhile nothing is replaced, and it
 * reads again. In a folder that is a lock beside the files; in Kubernetes the resourceVersion.
 */

import { createHash } from 'node:crypto';
import { mkdir, open, readFile, rename, rm, stat } from 'node:fs/promises';
import { join } from 'node:path';
import type { WallTime } from '../base/clock.ts';
import { pause } from '../base/deadlines.ts';

/** `authority`: roots, issuer and their keys; `sidecars`: what they reported. */
export type StateName = 'authority' | 'sidecars';

export interface StoredText {
  readonly text: string;
  /** Changes with each write. */
  readonly version: string;
}

export interface StateStore {
  /** For messages: where it is. */
  readonly place: string;
  /** Undefined: there is none yet. Rejects when nobody can say. */
  read(name: StateName): Promise<StoredText | undefined>;
  /**
   * @param before the version that was read; undefined: there must be none
   * @returns false: somebody else wrote meanwhile, and nothing was replaced
   */
  write(name: StateName, text: string, before: string | undefined): Promise<boolean>;
}

/** The state is there, and is not to be used as it is; the message says what to do. */
export class UnsafeState extends Error {
  override readonly name = 'UnsafeState';
}

/** A writer holds the lock for milliseconds: one that is older was left by a process that ended. */
const lockAgeMaxMs = 10_000;

/**
 * Files `authority.json` and `sidecars.json` of a folder, which nobody else may read (0600). The folder can
 * be entered by others (0711): the roots beside them are for everybody.
 */
export class FolderStore implements StateStore {
  readonly place: string;
  readonly #wallTime: WallTime;

  constructor(folder: string, wallTime: WallTime) {
    this.place = folder;
    this.#wallTime = wallTime;
  }

  async read(name: StateName): Promise<StoredText | undefined> {
    try {
      const text = await readFile(this.#path(name), 'utf8');
      if (name === 'authority') await refuseOpen(this.#path(name));
      return { text, version: createHash('sha256').update(text).digest('hex') };
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code === 'ENOENT') return undefined;
      throw error;
    }
  }

  async write(name: StateName, text: string, before: string | undefined): Promise<boolean> {
    await mkdir(this.place, { recursive: true, mode: 0o711 });
    const lock = this.#path(name, '.lock');
    if (!(await this.#take(lock))) return false;
    try {
      if ((await this.read(name))?.version !== before) return false;
      await writeWhole(this.#path(name), text);
      return true;
    } finally {
      await rm(lock, { force: true });
    }
  }

  async #take(lock: string): Promise<boolean> {
    try {
      await (await open(lock, 'wx', 0o600)).close();
      return true;
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code !== 'EEXIST') throw error;
    }
    const age = await stat(lock).then(
      ({ mtimeMs }) => this.#wallTime() - mtimeMs,
      () => 0,
    );
    if (age > lockAgeMaxMs) await rm(lock, { force: true });
    return false;
  }

  #path(name: StateName, suffix = ''): string {
    return join(this.place, `${name}.json${suffix}`);
  }
}

/** Whoever read the keys could sign for everybody, so nothing goes on as if nobody had. */
async function refuseOpen(path: string): Promise<void> {
  const { mode } = await stat(path);
  if ((mode & 0o077) === 0) return;
  const advice = `\`chmod 600\` it if nobody has, else begin anew`;
  throw new UnsafeState(`${path} may be read by others and holds the keys of the mesh; ${advice}`);
}

/** A reader sees the old text or the new one, also after the machine has lost its power. */
async function writeWhole(path: string, text: string): Promise<void> {
  const fresh = `${path}.new`;
  const file = await open(fresh, 'w', 0o600);
  try {
    await file.writeFile(text);
    await file.sync();
  } finally {
    await file.close();
  }
  await rename(fresh, path);
}

/** Between two tries, and how many: together more than the age of a lock that was left behind. */
const tryEveryMs = 20;
const triesMax = 600;

/**
 * Reads, changes and writes until nobody was in between. `change` gives undefined to leave it as it is.
 * Gives what is stored afterwards; throws when the store cannot be written.
 */
export async function changeStored(
  store: StateStore,
  name: StateName,
  change: (text: string | undefined) => string | undefined,
): Promise<string | undefined> {
  for (let tries = 0; tries < triesMax; tries += 1) {
    const found = await store.read(name);
    const text = change(found?.text);
    if (text === undefined || text === found?.text) return found?.text;
    if (await store.write(name, text, found?.version)) return text;
    await pause(tryEveryMs);
  }
  throw new Error(`${store.place}: others write ${name} all the time; try again`);
}
