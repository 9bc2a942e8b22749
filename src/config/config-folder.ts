/**
 * Config folder: the files that feed one sidecar, found, read and watched. What they mean is not known
 * here (read-files.ts): watching costs the hot thread no parsing.
 *
 * The kernel's notices make changes quick; a poll finds those that it does not tell (links, lost
 * notices). A file that cannot be read keeps its last text beside the problem.
 */

import { type FSWatcher, realpathSync, watch } from 'node:fs';
import { dirname } from 'node:path';
import type { WakeUps } from '../base/deadlines.ts';
import type { ConfigLimits } from '../model/limits.ts';
import {
  type FileProblem,
  fileSignature,
  listConfigFiles,
  listLeftOut,
  readConfigFile,
} from './read-config-file.ts';

export interface ConfigFolderOptions {
  /** Files or directories; of a directory its `*.yaml` and `*.yml`, not deeper. */
  readonly paths: readonly string[];
  readonly limits: ConfigLimits;
  readonly wakeUps: WakeUps;
  /** Called after something changed, with everything as it is now. */
  readonly onChange: (files: ConfigFiles) => void;
}

/** The files as they are: plain data. */
export interface ConfigFiles {
  /** By name. */
  readonly files: readonly FileContent[];
  /** Of paths of the command line. */
  readonly problems: readonly PathProblem[];
  /** Paths of the command line that cannot be listed now. */
  readonly missingPaths: readonly string[];
}

export interface FileContent {
  readonly file: string;
  /** The last that could be read. */
  readonly text: string;
  /** Why the present content cannot be read. */
  readonly problem: FileProblem | undefined;
}

export interface PathProblem {
  readonly path: string;
  readonly problem: FileProblem;
}

/** The longest that a file which never rests is left unread, in debounce times. */
const DEBOUNCES_MAX = 5;

const leftOut: FileProblem = {
  kind: 'file-left-out',
  message: 'This is not read: of a folder its *.yaml and *.yml are',
  fix: 'Name it *.yaml (JSON is YAML), or move it out of the folder.',
};

interface FileState {
  signature: string;
  text: string;
  problem: FileProblem | undefined;
  /** Read a moment ago: a write in the same tick of the file system's clock would not show. */
  isFresh: boolean;
}

export class ConfigFolder {
  readonly #options: ConfigFolderOptions;
  readonly #files = new Map<string, FileState>();
  /** What each path of the command line stood for when it could last be listed. */
  readonly #listed = new Map<string, readonly string[]>();
  readonly #watchers = new Map<string, FSWatcher>();
  #problems: PathProblem[] = [];
  #missing: string[] = [];
  #stopQuiet: (() => void) | undefined;
  #stopLatest: (() => void) | undefined;
  #stopPoll: (() => void) | undefined;
  #isWatching = false;

  constructor(options: ConfigFolderOptions) {
    this.#options = options;
  }

  /** Reads every file now (start, SIGHUP). Does not call onChange. Never throws. */
  read(): ConfigFiles {
    this.#look(true);
    return this.#present();
  }

  /** Begins to watch; onChange is called from now on, and at once if something is new. */
  watch(): void {
    if (this.#isWatching) return;
    this.#isWatching = true;
    this.#poll();
  }

  /** Stops watching; onChange is not called any more. */
  close(): void {
    this.#isWatching = false;
    this.#stopTimers();
    this.#stopPoll?.();
    for (const watcher of this.#watchers.values()) watcher.close();
    this.#watchers.clear();
  }

  #poll(): void {
    this.#lookAndTell();
    if (!this.#isWatching) return;
    this.#stopPoll = this.#options.wakeUps.after(this.#options.limits.reloadPollMs, () =>
      this.#poll(),
    );
  }

  /** The kernel says that something happened: look once it has been quiet, or after a while. */
  #notice(): void {
    if (!this.#isWatching) return;
    const { wakeUps, limits } = this.#options;
    const look = () => this.#lookAndTell();
    this.#stopQuiet?.();
    this.#stopQuiet = wakeUps.after(limits.reloadDebounceMs, look);
    this.#stopLatest ??= wakeUps.after(limits.reloadDebounceMs * DEBOUNCES_MAX, look);
  }

  #lookAndTell(): void {
    this.#stopTimers();
    const isChanged = this.#look(false);
    this.#renewWatchers();
    if (isChanged) this.#options.onChange(this.#present());
  }

  #stopTimers(): void {
    this.#stopQuiet?.();
    this.#stopLatest?.();
    this.#stopQuiet = undefined;
    this.#stopLatest = undefined;
  }

  /** Brings the states up to date; true when something differs from before. */
  #look(readsAll: boolean): boolean {
    const before = this.#problems;
    this.#problems = [];
    this.#missing = [];
    const present = new Set<string>();
    for (const path of this.#options.paths) for (const file of this.#list(path)) present.add(file);
    let isChanged = false;
    for (const file of this.#files.keys()) {
      if (!present.has(file)) isChanged = this.#files.delete(file) || isChanged;
    }
    for (const file of present) isChanged = this.#lookAtFile(file, readsAll) || isChanged;
    return isChanged || JSON.stringify(before) !== JSON.stringify(this.#problems);
  }

  #list(path: string): readonly string[] {
    const found = listConfigFiles(path);
    const { filesMax } = this.#options.limits;
    if ('problem' in found) {
      this.#problems.push({ path, problem: found.problem });
      this.#missing.push(path);
      return this.#listed.get(path) ?? [];
    }
    for (const each of listLeftOut(path)) this.#problems.push({ path: each, problem: leftOut });
    if (found.length > filesMax) {
      const message = `There are ${found.length} files; the limit is ${filesMax}`;
      const fix = 'Join small files into larger ones.';
      this.#problems.push({ path, problem: { kind: 'too-many-files', message, fix } });
    }
    const files = found.slice(0, filesMax);
    this.#listed.set(path, files);
    return files;
  }

  #lookAtFile(file: string, readsAlways: boolean): boolean {
    const known = this.#files.get(file);
    const isSame = known !== undefined && fileSignature(file) === known.signature;
    if (isSame && !known.isFresh && !readsAlways) return false;
    const found = readConfigFile(file, this.#options.limits);
    if ('problem' in found) {
      const { problem } = found;
      const isNew = JSON.stringify(known?.problem) !== JSON.stringify(problem);
      const signature = fileSignature(file);
      this.#files.set(file, { signature, text: known?.text ?? '', problem, isFresh: false });
      return isNew;
    }
    const { text, signature } = found;
    const isSameText = known?.text === text && known.problem === undefined;
    const isFresh = !isSameText || known.signature !== signature;
    this.#files.set(file, { signature, text, problem: undefined, isFresh });
    return !isSameText;
  }

  #present(): ConfigFiles {
    const files = [...this.#files]
      .toSorted(byName)
      .map(([file, { text, problem }]) => ({ file, text, problem }));
    return { files, problems: this.#problems, missingPaths: this.#missing };
  }

  /** Watches the folders of the files and of what their links lead to, and no others. */
  #renewWatchers(): void {
    if (!this.#isWatching) return;
    const wanted = new Set<string>();
    for (const path of this.#options.paths) {
      wanted.add(path);
      wanted.add(dirname(path));
    }
    for (const file of this.#files.keys()) {
      wanted.add(dirname(file));
      const target = linkTarget(file);
      if (target !== undefined) wanted.add(dirname(target));
    }
    const bySignature = new Map<string, string>();
    for (const folder of wanted) {
      const identity = fileSignature(folder).split(':', 2).join(':');
      if (identity !== '') bySignature.set(`${folder} ${identity}`, folder);
    }
    for (const [key, watcher] of this.#watchers) {
      if (bySignature.has(key)) continue;
      watcher.close();
      this.#watchers.delete(key);
    }
    for (const [key, folder] of bySignature) {
      if (!this.#watchers.has(key)) this.#startWatcher(key, folder);
    }
  }

  #startWatcher(key: string, folder: string): void {
    try {
      const watcher = watch(folder, { persistent: false }, () => this.#notice());
      // A folder that goes away, or too many watches: the poll goes on.
      watcher.on('error', () => {
        watcher.close();
        this.#watchers.delete(key);
      });
      this.#watchers.set(key, watcher);
    } catch {
      // No notices from here; the poll goes on.
    }
  }
}

function byName(first: readonly [string, unknown], second: readonly [string, unknown]): number {
  return first[0] < second[0] ? -1 : first[0] > second[0] ? 1 : 0;
}

function linkTarget(file: string): string | undefined {
  try {
    return realpathSync(file);
  } catch {
    return undefined;
  }
}
