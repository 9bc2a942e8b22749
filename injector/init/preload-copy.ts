/**
 * Puts the propagation preload where the application's containers mount it.
 *
 * The file appears whole or not at all: it is written beside its place and renamed, so a second run
 * never shows half of it to a starting application.
 */

import { chmodSync, copyFileSync, existsSync, renameSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';

export const preloadName = 'tracecar-propagate.cjs';

/** Beside the bundle in a release, in the neighbouring folder in the sources. */
function preloadSource(): string {
  const places = [`./preload/${preloadName}`, `../preload/${preloadName}`];
  const paths = places.map((place) => fileURLToPath(new URL(place, import.meta.url)));
  return paths.find((path) => existsSync(path)) ?? paths[0]!;
}

/** Copies it into `folder`, which exists. Empty, or one line that says why it could not. */
export function installPreload(folder: string): string {
  const target = join(folder, preloadName);
  const draft = `${target}.${process.pid}`;
  try {
    copyFileSync(preloadSource(), draft);
    // Read by whatever user the application runs as.
    chmodSync(draft, 0o644);
    renameSync(draft, target);
    return '';
  } catch (error) {
    const { code, message } = error as NodeJS.ErrnoException;
    return `the preload could not be copied to ${folder}: ${code ?? message}`;
  }
}
