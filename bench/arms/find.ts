/**
 * Where the programs of the arms are, and how their configuration files are filled in.
 *
 * It starts nothing. Templates are files of bench/ with {{NAME}} in them; what was set in a rival's
 * favour, and why, stands in them as comments.
 */

import { readFileSync, writeFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import { join, resolve } from 'node:path';
import { findPeer, installCommand } from '../../tools/peers.ts';
import { benchHost } from '../load/load-order.ts';
import type { ArmCommand, ArmPlace, FoundArm, MissingArm } from './arm.ts';

export const root = resolve(import.meta.dirname, '../..');

/** A program that `npm run peers` installs. */
export function findRival(name: string): FoundArm | MissingArm {
  const found = findPeer(name);
  if (found === undefined) return { missing: 'not installed', install: installCommand([name]) };
  return { version: found.version, program: found.path.replace(`${root}/`, '') };
}

/** Its path; throws an Error that says how to install it. */
export function pathOf(name: string): string {
  const found = findPeer(name);
  if (found === undefined) throw new Error(`${name} is gone; run: ${installCommand([name])}`);
  return found.path;
}

/** A program of ours on an npm package of bench/rivals/package.json. */
export function findPackage(name: string, program: string): FoundArm | MissingArm {
  const from = createRequire(join(root, 'bench/rivals/package.json'));
  try {
    const { version } = from(`${name}/package.json`) as { version: string };
    return { version, program };
  } catch {
    return { missing: `the package ${name} is not installed`, install: 'npm ci' };
  }
}

/** nginx's arguments for one configuration, whose relative paths then are in `directory`. */
export function nginxArguments(directory: string, configuration: string): readonly string[] {
  return ['-p', directory, '-e', 'stderr', '-c', configuration];
}

/** Copies a file of bench/ into the place's folder with every {{NAME}} replaced; returns its path. */
export function fillTemplate(
  file: string,
  place: ArmPlace,
  more: Readonly<Record<string, string>> = {},
): string {
  return fillText(readTemplate(file), file.slice(file.lastIndexOf('/') + 1), place, more);
}

/** A file of bench/ as it is. */
export function readTemplate(file: string): string {
  return readFileSync(join(root, 'bench', file), 'utf8');
}

/** The same with a text that is no file yet; `name` is what it will be called. */
export function fillText(
  template: string,
  name: string,
  place: ArmPlace,
  more: Readonly<Record<string, string>> = {},
): string {
  const values: Readonly<Record<string, string | number>> = {
    PORT: place.port,
    BACKEND: place.backendPort,
    SECOND: place.secondBackendPort,
    COLLECTOR: place.collectorPort,
    BESIDE: place.besidePort,
    PAIR: place.pairPort,
    HOST: benchHost,
    ...more,
  };
  const text = template.replaceAll(/\{\{([A-Z]+)\}\}/g, (all, word: string) =>
    String(values[word] ?? all),
  );
  const path = join(place.directory, name);
  writeFileSync(path, text);
  return path;
}

/** A program of bench/rivals/ on this Node.js; its arguments are PORT and BACKEND-PORT. */
export function nodeCommand(file: string, place: ArmPlace): ArmCommand {
  return {
    command: process.execPath,
    // http-proxy is old enough to call what Node.js deprecates; the warning costs nothing per request.
    args: [
      '--disable-warning=DeprecationWarning',
      join(root, 'bench/rivals', file),
      String(place.port),
      String(place.backendPort),
    ],
  };
}
