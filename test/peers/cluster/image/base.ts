/**
 * The files of the images' base: a slim root made of this machine's own programs and libraries.
 *
 * It holds a shell and a few programs for it, nft, the CA bundle and the pinned Node at
 * /usr/local/bin/node: what the project's Dockerfile and the sample applications need, and no package
 * manager. It stands in for the official Node image, which no registry gives us here.
 */

import { spawnSync } from 'node:child_process';
import { createHash } from 'node:crypto';
import {
  chmodSync,
  copyFileSync,
  existsSync,
  mkdirSync,
  realpathSync,
  rmSync,
  statSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs';
import { delimiter, dirname, join } from 'node:path';

const programs = [
  ...['sh', 'cat', 'chmod', 'cp', 'env', 'id', 'ln', 'ls', 'mkdir', 'mv', 'rm', 'sleep', 'true'],
  ...['dirname', 'readlink', 'touch', 'grep', 'nft'],
];

/** Loaded at run time, so no program names it: name resolution by DNS. */
const extraLibraries = ['libnss_dns.so.2', 'libnss_files.so.2'];

const certificates = '/etc/ssl/certs/ca-certificates.crt';

/** Where each file comes from, by where it goes (without the leading slash). */
type Files = ReadonlyMap<string, string>;

export interface Base {
  /** Changes whenever a file of it does. */
  readonly hash: string;
  /** Fills a folder with the base's files. */
  write(folder: string): void;
}

/** Throws with what to install when a program is missing. */
export function findBase(): Base {
  const files = listFiles();
  const hash = createHash('sha256');
  for (const [to, from] of files) {
    const { size, mtimeMs } = statSync(from);
    hash.update(`${to} ${from} ${size} ${mtimeMs}\n`);
  }
  return { hash: hash.digest('hex').slice(0, 12), write: (folder) => write(folder, files) };
}

function listFiles(): Files {
  const files = new Map<string, string>();
  files.set('usr/local/bin/node', realpathSync(process.execPath));
  for (const program of programs) files.set(`usr/bin/${program}`, findProgram(program));
  for (const from of [...files.values()]) {
    for (const library of librariesOf(from)) files.set(placeOf(library), realpathSync(library));
  }
  const libc = librariesOf('/bin/sh').find((path) => /\/libc\.so/.test(path));
  for (const name of extraLibraries) {
    const path = libc === undefined ? '' : join(dirname(libc), name);
    if (existsSync(path)) files.set(placeOf(path), realpathSync(path));
  }
  if (existsSync(certificates)) files.set(certificates.slice(1), realpathSync(certificates));
  return files;
}

function findProgram(name: string): string {
  const folders = [...(process.env.PATH ?? '').split(delimiter), '/usr/sbin', '/sbin', '/bin'];
  const found = folders.map((folder) => join(folder, name)).find((path) => existsSync(path));
  if (found === undefined) {
    throw new Error(`the images need ${name}, which is not here; run: npm run peers nft`);
  }
  return realpathSync(found);
}

/** Absolute paths of the libraries and the loader of a program, by ldd. */
function librariesOf(program: string): string[] {
  const { stdout } = spawnSync('ldd', [program], { encoding: 'utf8' });
  return [...stdout.matchAll(/(?:=> |^\s)(\/\S+) \(0x/gm)].map((match) => match[1]!);
}

/** The root is merged (/lib is /usr/lib), whether this machine's is or not. */
function placeOf(path: string): string {
  return path.replace(/^\/(usr\/)?/, 'usr/');
}

function write(folder: string, files: Files): void {
  for (const name of ['bin', 'sbin', 'lib', 'lib64']) {
    mkdirSync(join(folder, 'usr', name), { recursive: true });
    symlinkSync(`usr/${name}`, join(folder, name));
  }
  for (const name of ['dev', 'etc', 'home', 'proc', 'root', 'run', 'sys', 'var/tmp', 'tmp']) {
    mkdirSync(join(folder, name), { recursive: true });
  }
  chmodSync(join(folder, 'tmp'), 0o1777);
  symlinkSync('../bin/nft', join(folder, 'usr/sbin/nft'));
  for (const [to, from] of files) {
    const path = join(folder, to);
    mkdirSync(dirname(path), { recursive: true });
    rmSync(path, { force: true });
    copyFileSync(from, path);
  }
  const texts = {
    passwd:
      'root:x:0:0:root:/root:/bin/sh\nnode:x:1000:1000::/home:/bin/sh\nnobody:x:65534:65534::/:/bin/sh\n',
    group: 'root:x:0:\nnode:x:1000:\nnogroup:x:65534:\n',
    'nsswitch.conf': 'passwd: files\ngroup: files\nhosts: files dns\n',
  };
  for (const [name, text] of Object.entries(texts)) writeFileSync(join(folder, 'etc', name), text);
}
