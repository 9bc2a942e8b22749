/**
 * Puts the propagation preload where the application's containers mount it.
 *
 * Each file appears whole or not at all: it is written beside its place and renamed, so a second run
 * never shows half of it to a starting application. The one that applications load comes last.
 */

import { chmodSync, copyFileSync, existsSync, renameSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';

/** In the order of their copying: the last one loads the others. */
export const preloadNames = ['tracecar-propagate-http2.cjs', 'tracecar-propagate.cjs'] as const;

/** Beside the bundle in a release, in the neighbouring folder in the sources. */
function preloadSource(name: string): string {
  const places = [`./preload/${name}`, `../preload/${name}`];
  const paths = places.map((place) => fileURLToPath(new URL(place, import.meta.url)));
  return paths.find((path) => existsSync(path)) ?? paths[0]!;
}

/** Copies them into `folder`, which exists. Empty, or one line that says why it could not. */
export function installPreload(folder: string): string {
  try {
    for (const name of preloadNames) {
      const target = join(folder, name);
      const draft = `${target}.${process.pid}`;
      copyFileSync(preloadSource(name), draft);
      // Read by whatever user the application runs as.
      chmodSync(draft, 0o644);
      renameSync(draft, target);
    }
    return '';
  } catch (error) {
    const { code, message } = error as NodeJS.ErrnoException;
    return `the preload could not be copied to ${folder}: ${code ?? message}`;
  }
}
