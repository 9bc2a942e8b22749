/**
 * Read files: the files of one sidecar to resources and complaints. Pure.
 *
 * Of each file the newest content without an error counts: one that stops parsing, becomes empty (an
 * editor at work) or unreadable keeps its last good resources, one that is gone has lost them. What was
 * good is remembered as text, so that the same call gives the same resources in any thread.
 */

import type { Diagnostic } from '../model/diagnostic.ts';
import { Complaints, filePlace } from './complaints.ts';
import type { ConfigFiles, FileContent } from './config-folder.ts';
import { type ConfigSource, dropDuplicates, readResources } from './load.ts';
import type { FileProblem } from './read-config-file.ts';
import type { Resource } from './resource.ts';

/** File to the newest text of it that had no error. */
export type GoodTexts = ReadonlyMap<string, string>;

export interface ConfigReading {
  /** Of each file its newest content without an error: pass them to `compileTable`. */
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
 */
export function readFiles(
  { files, problems }: ConfigFiles,
  goodTexts: GoodTexts,
  namespace: string,
): ConfigReading {
  const complaints = new Complaints();
  for (const { path, problem } of problems) complaints.addAll(diagnose(path, problem));
  const resources: Resource[] = [];
  const readable: Resource[] = [];
  const refusedFiles: string[] = [];
  const nextGood = new Map<string, string>();
  for (const content of files) {
    const { file, text } = content;
    const good = goodTexts.get(file);
    const reading = readOne(content, good, namespace);
    complaints.addAll(reading.diagnostics);
    resources.push(...reading.counting);
    readable.push(...reading.readable);
    if (reading.isRefused) refusedFiles.push(file);
    const counts = reading.isRefused ? good : text;
    if (counts !== undefined) nextGood.set(file, counts);
  }
  // A file with a mistake elsewhere must not hide a double name from whoever mends all at once.
  dropDuplicates(readable, complaints, refusedFiles);
  return {
    resources: dropDuplicates(resources, new Complaints()),
    diagnostics: complaints.list(),
    sources: files.map(({ file, text }) => ({ file, text })),
    refusedFiles,
    goodTexts: nextGood,
  };
}

interface FileReading {
  readonly counting: readonly Resource[];
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
    return { counting, readable: counting, diagnostics: diagnose(file, why), isRefused: true };
  };
  if (problem !== undefined) return keepGood(problem);
  if (text.trim() === '' && readGood().length > 0) return keepGood(emptied);
  const { resources, diagnostics } = readResources([{ file, text }], namespace);
  const isRefused = diagnostics.some((each) => each.severity === 'error');
  const counting = isRefused ? readGood() : resources;
  return { counting, readable: resources, diagnostics, isRefused };
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
