/**
 * Read files: the files of one sidecar to resources and complaints. Pure.
 *
 * Of each file the newest content without an error counts: one that stops parsing, becomes empty (an
 * editor at work) or unreadable keeps its last good resources, one that is gone has lost them. What was
 * good is remembered as text, so that the same call gives the same resources in any thread.
 *
 * Beside the last good content counts what closes more in the present one (closing-resources.ts): a
 * mistake must never keep open what somebody has just closed.
 */

import type { Diagnostic } from '../model/diagnostic.ts';
import { closingOf, isClosing, unreadPolicies, unreadPolicy } from './closing-resources.ts';
import type { ConfigFiles, FileContent } from './config-folder.ts';
import { type ConfigSource, dropDuplicates, readResources } from './load.ts';
import type { FileProblem } from './read-config-file.ts';
import { type Resource, resourceName } from './resource/resource.ts';
import { Complaints, filePlace } from './syntax/complaints.ts';

/** File to the newest text of it that had no error. */
export type GoodTexts = ReadonlyMap<string, string>;

export interface ConfigReading {
  /**
   * Of each file its newest content without an error, and of its present one what closes more: pass them
   * to `compileTable`. Of what closes there may be another of the same name.
   */
  readonly resources: readonly Resource[];
  /** Of the files as they are now, in the order of files and lines. */
  readonly diagnostics: readonly Diagnostic[];
  /** The texts as they are now, for showing lines. */
  readonly sources: readonly ConfigSource[];
  /** Files whose present content is not in `resources` because it has an error. */
  readonly refusedFiles: readonly string[];
  /** For the next reading. */
  readonly goodTexts: GoodTexts;
}

/**
 * @param goodTexts of the reading before this one; empty at first
 * @param namespace of documents that name none
 * @param memory of earlier readings in the same namespace: gives their very resources again
 */
export function readFiles(
  { files, problems }: ConfigFiles,
  goodTexts: GoodTexts,
  namespace: string,
  memory = new ReadMemory(),
): ConfigReading {
  memory.begin();
  const complaints = new Complaints();
  for (const { path, problem } of problems) complaints.addAll(diagnose(path, problem));
  const resources: Resource[] = [];
  const readable: Resource[] = [];
  const closing: Resource[] = [];
  const refusedFiles: string[] = [];
  const nextGood = new Map<string, string>();
  for (const content of files) {
    const { file, text } = content;
    const good = goodTexts.get(file);
    const reading = memory.read(content, good, namespace);
    complaints.addAll(reading.diagnostics);
    resources.push(...reading.counting);
    readable.push(...reading.readable);
    closing.push(...reading.closing);
    if (reading.isRefused) refusedFiles.push(file);
    const counts = reading.isRefused ? good : text;
    if (counts !== undefined) nextGood.set(file, counts);
  }
  let kept: readonly Resource[] = resources;
  if (!memory.areUnique()) {
    // A file with a mistake elsewhere must not hide a double name from whoever mends all at once.
    const others = dropDuplicates(readable, complaints, refusedFiles);
    kept = dropDuplicates(resources, new Complaints());
    memory.noteUnique(kept.length === resources.length && others.length === readable.length);
  }
  return {
    resources: closing.length === 0 ? kept : [...kept, ...closing],
    diagnostics: complaints.list(),
    sources: files.map(({ file, text }) => ({ file, text })),
    refusedFiles,
    goodTexts: nextGood,
  };
}

/** What was read of each file the last time: a file that has not changed is not read again. */
export class ReadMemory {
  #before = new Map<string, Remembered>();
  #now = new Map<string, Remembered>();
  /** No name stood twice the last time. */
  #wasUnique = false;

  /** A reading begins; files that it does not ask for are forgotten after it. */
  begin(): void {
    this.#before = this.#now;
    this.#now = new Map();
  }

  read(content: FileContent, good: string | undefined, namespace: string): FileReading {
    const { file, text, problem } = content;
    const before = this.#before.get(file);
    const isSame =
      before !== undefined &&
      before.content.text === text &&
      before.content.problem === problem &&
      // What was good before counts only where the present text does not.
      (before.good === good || (!before.reading.isRefused && good === text));
    const remembered = isSame ? before : remember(content, good, readOne(content, good, namespace));
    this.#now.set(file, remembered);
    return remembered.reading;
  }

  /** It is read anew the next time. */
  forget(file: string): void {
    this.#now.delete(file);
  }

  /** Whether the files read since `begin` have the names that the ones before had, each once. */
  areUnique(): boolean {
    if (!this.#wasUnique || this.#now.size !== this.#before.size) return false;
    for (const [file, { names }] of this.#now) {
      if (this.#before.get(file)?.names !== names) return false;
    }
    return true;
  }

  noteUnique(isSo: boolean): void {
    this.#wasUnique = isSo;
  }
}

interface Remembered {
  readonly content: FileContent;
  readonly good: string | undefined;
  readonly reading: FileReading;
  /** Of its resources, those that count and those that stand there now. */
  readonly names: string;
}

function remember(
  content: FileContent,
  good: string | undefined,
  reading: FileReading,
): Remembered {
  const show = (resource: Resource) => `${resource.kind} ${resourceName(resource)}`;
  const names = [reading.counting, reading.readable].map((each) => each.map(show).join());
  return { content, good, reading, names: names.join('\n') };
}

interface FileReading {
  readonly counting: readonly Resource[];
  /** Counts beside these. */
  readonly closing: readonly Resource[];
  /** Of the present content, mistakes or not: what is compared with the other files. */
  readonly readable: readonly Resource[];
  readonly diagnostics: readonly Diagnostic[];
  readonly isRefused: boolean;
}

function readOne(
  { file, text, problem }: FileContent,
  good: string | undefined,
  namespace: string,
): FileReading {
  const readGood = () =>
    good === undefined ? [] : readResources([{ file, text: good }], namespace).resources;
  const keepGood = (why: FileProblem): FileReading => {
    const counting = readGood();
    const diagnostics = diagnose(file, why);
    return { counting, closing: [], readable: counting, diagnostics, isRefused: true };
  };
  if (problem !== undefined) return keepGood(problem);
  if (text.trim() === '' && readGood().length > 0) return keepGood(emptied);
  const { resources, diagnostics } = readResources([{ file, text }], namespace);
  const isRefused = diagnostics.some((each) => each.severity === 'error');
  const reading = { readable: resources, diagnostics, isRefused };
  if (!isRefused) return { ...reading, counting: resources, closing: [] };
  if (good !== undefined) {
    const before = { text: good, resources: readGood() };
    const closing = closingOf({ text, resources }, before, file, namespace);
    return { ...reading, counting: before.resources, closing };
  }
  // Without a last good text what closes something stays: a mistake beside it must not open anything.
  const counting = resources.filter(isClosing);
  const isUnread = unreadPolicies(text, counting) > 0;
  return {
    ...reading,
    counting: [...counting, ...(isUnread ? [unreadPolicy(file, namespace)] : [])],
    closing: [],
  };
}

const emptied: FileProblem = {
  kind: 'file-empty',
  message: 'The file is empty; what it held before still counts',
  fix: 'Delete the file to remove its resources.',
};

function diagnose(file: string, { kind, message, fix }: FileProblem): readonly Diagnostic[] {
  const complaints = new Complaints();
  complaints.add(kind, filePlace(file), message, fix);
  return complaints.list();
}
