/**
 * Loads a program's bundle with the code that V8 made of it when it was built.
 *
 * Not Node.js's own compile cache: that keeps a folder for each user and writes to it, and a sidecar
 * runs as uid 1337 on a file system that it cannot write. Code of another Node.js, of another machine
 * or with other V8 flags is never used: the bundle is then compiled as ever, 20 ms later.
 */

import { mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { Script } from 'node:vm';

export interface LoadedBundle {
  readonly exports: unknown;
  readonly script: Script;
}

/** What `NAME.cjs` in `folder` exports; `load` is a `require` of that folder. */
export function loadBundle(load: NodeJS.Require, folder: string, name: string): unknown {
  const cachedData = readCode(folder, name);
  if (cachedData === undefined) return load(`./${name}.cjs`);
  return runBundle(load, folder, name, cachedData).exports;
}

/** Runs a bundle as `require` would, but keeps its script. */
export function runBundle(
  load: NodeJS.Require,
  folder: string,
  name: string,
  cachedData?: Buffer,
): LoadedBundle {
  const filename = join(folder, `${name}.cjs`);
  const text = readFileSync(filename, 'utf8');
  const wrapped = `(function(exports,require,module,__filename,__dirname){${text}\n})`;
  const script = new Script(wrapped, {
    filename,
    ...(cachedData === undefined ? {} : { cachedData }),
  });
  const module = { exports: {} };
  script.runInThisContext()(module.exports, load, module, filename, folder);
  return { exports: module.exports, script };
}

/** Keeps the code of everything that `script` has run until now, for the next start. */
export function keepCode(folder: string, name: string, script: Script): void {
  const path = codePath(folder, name);
  mkdirSync(dirname(path), { recursive: true });
  writeFileSync(path, script.createCachedData());
}

function readCode(folder: string, name: string): Buffer | undefined {
  try {
    return readFileSync(codePath(folder, name));
  } catch {
    return undefined;
  }
}

/** V8 looks at its version and at the length of the source, and not at the kind of machine. */
function codePath(folder: string, name: string): string {
  return join(folder, 'code', `${name}-${process.version}-${process.arch}`);
}
