/**
 * What to say of a path on the command line that cannot be listed, and what was probably meant.
 *
 * The likely causes are a name with a slip in it and another working directory, so one of them is said.
 */

import { readdirSync } from 'node:fs';
import { basename, dirname, join, resolve } from 'node:path';
import { nearestName } from '../config/syntax/nearest-name.ts';

/** One line. `why` is the system's reason as a sentence: `There is no such file or folder`. */
export function missingPath(path: string, why: string): string {
  const reason = why.charAt(0).toLowerCase() + why.slice(1);
  return `cannot read ${path}: ${reason}${likelyCause(path)}`;
}

function likelyCause(path: string): string {
  const parent = dirname(path);
  const near = nearestName(basename(path), namesIn(parent));
  if (near !== undefined) return `; did you mean ${join(parent, near)}?`;
  const absolute = resolve(path);
  return absolute === path ? '' : `; a relative path begins at ${process.cwd()}`;
}

function namesIn(folder: string): readonly string[] {
  try {
    return readdirSync(folder);
  } catch {
    return [];
  }
}
