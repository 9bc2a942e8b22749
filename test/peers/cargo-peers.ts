/**
 * The peers that are built from Rust crates: so far Pingora, a rival of the benchmark.
 *
 * Versions are pinned by the Cargo.lock beside the program's sources. A build is kept in the cache
 * under the version and a hash of those files. Cold on two cores it takes about six minutes.
 */

import { spawn, spawnSync } from 'node:child_process';
import { createHash } from 'node:crypto';
import { copyFileSync, existsSync, mkdirSync, mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join, resolve } from 'node:path';
import { cached, cachePath } from './cache.ts';

export interface CargoPeer {
  readonly name: string;
  /** Of the crate that it is about. */
  readonly crate: string;
  /** The package's binary, and its folder with Cargo.toml, Cargo.lock and src/main.rs. */
  readonly binary: string;
  readonly folder: string;
}

export const cargoPeers: readonly CargoPeer[] = [
  {
    name: 'pingora',
    crate: 'pingora-proxy',
    binary: 'pingora-hop',
    folder: resolve(import.meta.dirname, '../../bench/rivals/pingora'),
  },
];

const files = ['Cargo.toml', 'Cargo.lock', 'src/main.rs'];

/** Where its program is; undefined until it is built. */
export function findCargoProgram(peer: CargoPeer): string | undefined {
  const path = join(cachePath(keyOf(peer)), peer.binary);
  return existsSync(path) ? path : undefined;
}

/** The crate's version in Cargo.lock. */
export function crateVersion({ folder, crate }: CargoPeer): string {
  const lock = readFileSync(join(folder, 'Cargo.lock'), 'utf8');
  const version = new RegExp(`^name = "${crate}"\\nversion = "([^"]+)"$`, 'm').exec(lock)?.[1];
  if (version === undefined) throw new Error(`${folder}/Cargo.lock does not name ${crate}`);
  return version;
}

/** Builds a peer unless the cache holds it. `say` gets a line for each step. */
export async function buildCargoPeer(
  peer: CargoPeer,
  say: (line: string) => void,
): Promise<string> {
  return await cached(keyOf(peer), async (out) => {
    assertTools(peer);
    const target = mkdtempSync(join(tmpdir(), 'tracecar-cargo-'));
    try {
      const started = performance.now();
      say(`building ${peer.crate} ${crateVersion(peer)} (about six minutes on two cores)`);
      await runCargo(peer, target);
      mkdirSync(out);
      copyFileSync(join(target, 'release', peer.binary), join(out, peer.binary));
      say(`  built in ${((performance.now() - started) / 1000).toFixed(0)} s`);
    } finally {
      rmSync(target, { recursive: true, force: true });
    }
  });
}

/** One of its crates compiles zlib-ng, with CMake. */
function assertTools({ name }: CargoPeer): void {
  const lacking = ['cargo', 'cmake', 'cc'].filter(
    (tool) => spawnSync(tool, ['--version'], { stdio: 'ignore' }).status !== 0,
  );
  if (lacking.length === 0) return;
  throw new Error(
    `${name} is built with Rust 1.85 or later, CMake and a C compiler; missing: ${lacking.join(', ')}`,
  );
}

function runCargo({ name, folder }: CargoPeer, target: string): Promise<void> {
  return new Promise((done, failed) => {
    const child = spawn('cargo', ['build', '--release', '--locked', '--target-dir', target], {
      cwd: folder,
      stdio: ['ignore', 'ignore', 'pipe'],
    });
    let tail = '';
    child.stderr.on('data', (chunk: Buffer) => {
      tail = (tail + chunk).slice(-2000);
    });
    child.on('error', failed);
    child.on('close', (status) => {
      if (status === 0) done();
      else failed(new Error(`building ${name} failed:\n${tail}`));
    });
  });
}

/** The version and a hash of everything that the build reads from this repository. */
function keyOf(peer: CargoPeer): string {
  const hash = createHash('sha256');
  for (const file of files) {
    hash.update(`${file}\n`).update(readFileSync(join(peer.folder, file)));
  }
  const digest = hash.digest('hex').slice(0, 12);
  return `${peer.name}-${crateVersion(peer)}-${process.arch}-${digest}`;
}
