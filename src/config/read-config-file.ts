/**
 * Read config file: one file's text, whatever stands at its path.
 *
 * It never blocks and never throws: a FIFO is opened without waiting and refused, a file over the limit
 * is refused by its size before it is read and cut off if it grows meanwhile. A signature says cheaply
 * whether a file is still the one that was read.
 */

import {
  closeSync,
  constants,
  fstatSync,
  openSync,
  readdirSync,
  readSync,
  statSync,
} from 'node:fs';
import { join } from 'node:path';
import type { ConfigLimits } from '../model/limits.ts';
import type { ComplaintKind } from './syntax/diagnostic-codes.ts';

export interface FileProblem {
  readonly kind: ComplaintKind;
  readonly message: string;
  readonly fix: string;
}

export type FileText =
  | { readonly text: string; readonly signature: string }
  | { readonly problem: FileProblem };

const CHUNK_BYTES = 64 * 1024;

/** Text of a regular file, or why it cannot be had. */
export function readConfigFile(path: string, limits: ConfigLimits): FileText {
  let descriptor: number;
  try {
    descriptor = openSync(path, constants.O_RDONLY | constants.O_NONBLOCK);
  } catch (error) {
    return { problem: unreadable(error) };
  }
  try {
    const stats = fstatSync(descriptor, { bigint: true });
    if (!stats.isFile()) return { problem: notAFile };
    const bytes =
      stats.size > limits.fileBytesMax ? undefined : readAll(descriptor, limits.fileBytesMax);
    if (bytes === undefined) return { problem: tooBig(limits) };
    const text = new TextDecoder('utf-8', { fatal: true }).decode(bytes);
    return { text, signature: signatureOf(stats) };
  } catch (error) {
    if (error instanceof TypeError) return { problem: notText };
    return { problem: unreadable(error) };
  } finally {
    closeSync(descriptor);
  }
}

/** Changes whenever the file at `path` may have: another file, size or time. '' when there is none. */
export function fileSignature(path: string): string {
  try {
    return signatureOf(statSync(path, { bigint: true }));
  } catch {
    return '';
  }
}

/**
 * The files that a path of the command line stands for: itself, or of a directory its `*.yaml` and
 * `*.yml`, sorted, without hidden ones and not deeper.
 */
export function listConfigFiles(path: string): readonly string[] | { problem: FileProblem } {
  try {
    if (!statSync(path).isDirectory()) return [path];
    return readdirSync(path)
      .filter((name) => /^[^.].*\.ya?ml$/i.test(name))
      .toSorted()
      .map((name) => join(path, name));
  } catch (error) {
    return { problem: unreadable(error) };
  }
}

/** What lies in a folder of the command line and could be meant for us, but is not read: its `*.json`. */
export function listLeftOut(path: string): readonly string[] {
  try {
    if (!statSync(path).isDirectory()) return [];
    return readdirSync(path)
      .filter((name) => /^[^.].*\.json$/i.test(name))
      .toSorted()
      .map((name) => join(path, name));
  } catch {
    return [];
  }
}

interface SignedStats {
  readonly dev: bigint;
  readonly ino: bigint;
  readonly size: bigint;
  readonly mtimeNs: bigint;
  readonly ctimeNs: bigint;
}

function signatureOf({ dev, ino, size, mtimeNs, ctimeNs }: SignedStats): string {
  return `${dev}:${ino}:${size}:${mtimeNs}:${ctimeNs}`;
}

/** All bytes, or undefined when there are more than `bytesMax`. */
function readAll(descriptor: number, bytesMax: number): Buffer | undefined {
  const chunks: Buffer[] = [];
  let total = 0;
  for (;;) {
    const chunk = Buffer.allocUnsafe(CHUNK_BYTES);
    const count = readSync(descriptor, chunk, 0, CHUNK_BYTES, null);
    if (count === 0) return Buffer.concat(chunks, total);
    total += count;
    if (total > bytesMax) return undefined;
    chunks.push(chunk.subarray(0, count));
  }
}

const notAFile: FileProblem = {
  kind: 'not-a-file',
  message: 'This is not a regular file',
  fix: 'Put a file or a link to a file there.',
};

const notText: FileProblem = {
  kind: 'yaml-syntax',
  message: 'This file is not UTF-8 text',
  fix: 'Save it as UTF-8.',
};

function tooBig(limits: ConfigLimits): FileProblem {
  const mebibytes = limits.fileBytesMax / 1024 / 1024;
  return {
    kind: 'file-too-big',
    message: `This file is larger than ${mebibytes} MiB`,
    fix: 'Split it into several files.',
  };
}

function unreadable(error: unknown): FileProblem {
  const code = error instanceof Error && 'code' in error ? String(error.code) : String(error);
  const known: Readonly<Record<string, readonly [string, string]>> = {
    ENOENT: ['There is no such file or folder', 'Check the path.'],
    EACCES: ['This process may not read it', 'Check the permissions of the file and its folders.'],
    ELOOP: ['Its links go round in a circle', 'Mend the symbolic links.'],
    ENXIO: ['This is not a regular file', 'Put a file or a link to a file there.'],
  };
  const [message, fix] = known[code] ?? [`It cannot be read: ${code}`, 'Check the path.'];
  return { kind: code === 'ENXIO' ? 'not-a-file' : 'file-unreadable', message, fix };
}
