/**
 * Config folder: the files that feed one sidecar, read, remembered and watched.
 *
 * Of each file the newest content without an error counts: one that stops parsing, becomes empty (an
 * editor at work) or unreadable keeps its last good resources, one that is deleted loses them. The
 * kernel's notices make changes quick; a poll finds those that it does not tell (links, lost notices).
 */

import { type FSWatcher, realpathSync, watch } from 'node:fs';
import { dirname } from 'node:path';
import type { WakeUps } from '../base/deadlines.ts';
import type { Diagnostic } from '../model/diagnostic.ts';
import type { ConfigLimits } from '../model/limits.ts';
import { Complaints, filePlace } from './complaints.ts';
import { type ConfigSource, dropDuplicates, readResources } from './load.ts';
import {
  type FileProblem,
  fileSignature,
  listConfigFiles,
  readConfigFile,
} from './read-config-file.ts';
import type { Resource } from './resource.ts';

export interface ConfigFolderOptions {
  /** Files or directories; of a directory its `*.yaml` and `*.yml`, not deeper. */
  readonly paths: readonly string[];
  readonly limits: ConfigLimits;
  readonly wakeUps: WakeUps;
  /** Called after something changed, with everything as it is now. */
  readonly onChange: (reading: ConfigReading) => void;
}

export interface ConfigReading {
  /** Of each file its newest content without an error: pass them to `compileTable`. */
  readonly resources: readonly Resource[];
  /** Of the files as they are now, in the order of files and lines. */
  readonly diagnostics: readonly Diagnostic[];
  /** The texts as they are now, for showing lines. */
  readonly sources: readonly ConfigSource[];
  /** Files whose present content is not in `resources` because it has an error. */
  readonly refusedFiles: readonly string[];
  /** Paths of the command line that cannot be listed now. */
  readonly missingPaths: readonly string[];
}

/** The longest that a file which never rests is left unread, in debounce times. */
const DEBOUNCES_MAX = 5;

interface FileState {
  signature: string;
  text: string;
  /** Read a moment ago: a write in the same tick of the file system's clock would not show. */
  isFresh: boolean;
  lastGood: readonly Resource[];
  /** Of the present content, mistakes or not: what is compared with the other files. */
  readable: readonly Resource[];
  diagnostics: readonly Diagnostic[];
  isRefused: boolean;
}

export class ConfigFolder {
  readonly #options: ConfigFolderOptions;
  readonly #files = new Map<string, FileState>();
  /** What each path of the command line stood for when it could last be listed. */
  readonly #listed = new Map<string, readonly string[]>();
  readonly #watchers = new Map<string, FSWatcher>();
  #problems: Diagnostic[] = [];
  #missing: string[] = [];
  #stopQuiet: (() => void) | undefined;
  #stopLatest: (() => void) | undefined;
  #stopPoll: (() => void) | undefined;
  #isWatching = false;

  constructor(options: ConfigFolderOptions) {
    this.#options = options;
  }

  /** Reads every file now (start, SIGHUP). Does not call onChange. Never throws. */
  read(): ConfigReading {
    this.#look(true);
    return this.#reading();
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
    if (isChanged) this.#options.onChange(this.#reading());
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
      this.#addProblem(path, found.problem);
      this.#missing.push(path);
      return this.#listed.get(path) ?? [];
    }
    if (found.length > filesMax) {
      const message = `There are ${found.length} files; the limit is ${filesMax}`;
      const fix = 'Join small files into larger ones.';
      this.#addProblem(path, { kind: 'too-many-files', message, fix });
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
      const diagnostics = diagnose(file, found.problem);
      const isNew = JSON.stringify(known?.diagnostics) !== JSON.stringify(diagnostics);
      this.#files.set(file, {
        signature: fileSignature(file),
        text: known?.text ?? '',
        isFresh: false,
        lastGood: known?.lastGood ?? [],
        readable: known?.lastGood ?? [],
        diagnostics,
        isRefused: true,
      });
      return isNew;
    }
    const { text, signature } = found;
    const isSameText = known !== undefined && known.text === text && !known.isRefused;
    if (isSameText) {
      known.isFresh = known.signature !== signature;
      known.signature = signature;
      return false;
    }
    const state = readState(file, text, signature, known?.lastGood ?? []);
    this.#files.set(file, state);
    const isRefusedAgain = known?.isRefused === true && state.isRefused && known.text === text;
    return !isRefusedAgain;
  }

  #addProblem(file: string, problem: FileProblem): void {
    this.#problems.push(...diagnose(file, problem));
  }

  #reading(): ConfigReading {
    const complaints = new Complaints();
    complaints.addAll(this.#problems);
    const resources: Resource[] = [];
    const readable: Resource[] = [];
    const sources: ConfigSource[] = [];
    const refusedFiles: string[] = [];
    for (const [file, state] of [...this.#files].toSorted(byName)) {
      complaints.addAll(state.diagnostics);
      resources.push(...state.lastGood);
      readable.push(...state.readable);
      sources.push({ file, text: state.text });
      if (state.isRefused) refusedFiles.push(file);
    }
    // A file with a mistake elsewhere must not hide a double name from whoever mends all at once.
    dropDuplicates(readable, complaints, refusedFiles);
    const kept = dropDuplicates(resources, new Complaints());
    const diagnostics = complaints.list();
    return { resources: kept, diagnostics, sources, refusedFiles, missingPaths: this.#missing };
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

function readState(
  file: string,
  text: string,
  signature: string,
  lastGood: readonly Resource[],
): FileState {
  if (text.trim() === '' && lastGood.length > 0) {
    const diagnostics = diagnose(file, {
      kind: 'file-empty',
      message: 'The file is empty; what it held before still counts',
      fix: 'Delete the file to remove its resources.',
    });
    return {
      signature,
      text,
      isFresh: true,
      lastGood,
      readable: lastGood,
      diagnostics,
      isRefused: true,
    };
  }
  const { resources, diagnostics } = readResources([{ file, text }]);
  const isRefused = diagnostics.some((each) => each.severity === 'error');
  return {
    signature,
    text,
    isFresh: true,
    lastGood: isRefused ? lastGood : resources,
    readable: resources,
    diagnostics,
    isRefused,
  };
}

function diagnose(file: string, { kind, message, fix }: FileProblem): readonly Diagnostic[] {
  const complaints = new Complaints();
  complaints.add(kind, filePlace(file), message, fix);
  return complaints.list();
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
