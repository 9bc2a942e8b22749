/**
 * The images that run in a cluster: made here, kept as archives in the cache, imported by containerd.
 *
 *   pause    localhost/pause:1               the first process of every pod
 *   tracecar localhost/tracecar:test         the project's own Dockerfile, built by buildah over `base`
 *   sample   localhost/tracecar-sample:test  Node and the applications of examples/ab-rollout in /app
 *
 * An archive is named by a hash of what went into it, so a changed source makes a new image and an
 * unchanged one costs only its import.
 */

import { createHash } from 'node:crypto';
import {
  cpSync,
  existsSync,
  globSync,
  mkdirSync,
  mkdtempSync,
  readFileSync,
  realpathSync,
  rmSync,
  statSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { join, resolve } from 'node:path';
import { cached, forgetOld, withLock } from '../cache.ts';
import { goProgram } from '../go-peers.ts';
import { runOrThrow } from './command.ts';
import { packImage, packLayer } from './image/archive.ts';
import { findBase } from './image/base.ts';
import type { Place } from './place.ts';

const root = resolve(import.meta.dirname, '../../..');

export type ImageName = 'pause' | 'tracecar' | 'sample';

/** Names by which pods ask for them; `imagePullPolicy: Never` or `IfNotPresent`. */
export const imageReferences = {
  pause: 'localhost/pause:1',
  tracecar: 'localhost/tracecar:test',
  sample: 'localhost/tracecar-sample:test',
} as const satisfies Record<ImageName, string>;

const baseReference = 'localhost/node:26';
const path = 'PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin';

/** The archive of an image, built when the cache has none of this content. */
export async function imageArchive(name: ImageName, log: (line: string) => void): Promise<string> {
  if (name === 'pause') return await pauseArchive();
  return name === 'sample' ? await sampleArchive(log) : await tracecarArchive(log);
}

/** Makes an archive's image known to the kubelet of a cluster. */
export async function importImage(place: Place, archive: string): Promise<void> {
  const address = ['-a', place.path('containerd.sock'), '-n', 'k8s.io'];
  await runOrThrow(['ctr', ...address, 'images', 'import', archive], { timeoutMs: 120_000 });
}

async function pauseArchive(): Promise<string> {
  const program = goProgram('pause');
  return await cached(`images/pause-${hashOf([program])}.tar`, async (out) => {
    await inScratch(async (scratch) => {
      const folder = join(scratch, 'root');
      mkdirSync(folder);
      cpSync(program, join(folder, 'pause'));
      await packLayer(folder, join(scratch, 'layer.tar'));
      await packImage(out, imageReferences.pause, [join(scratch, 'layer.tar')], {
        Entrypoint: ['/pause'],
      });
    });
  });
}

/** The base's one layer, shared by both images. */
async function baseLayer(log: (line: string) => void): Promise<{ hash: string; layer: string }> {
  const base = findBase();
  const layer = await cached(`images/base-${base.hash}.layer.tar`, async (out) => {
    log('packing the base of the images: Node, a shell, nft');
    await inScratch(async (scratch) => {
      const folder = join(scratch, 'root');
      mkdirSync(folder);
      base.write(folder);
      await packLayer(folder, out);
    });
  });
  return { hash: base.hash, layer };
}

async function sampleArchive(log: (line: string) => void): Promise<string> {
  const { hash, layer } = await baseLayer(log);
  const apps = join(root, 'examples/ab-rollout/apps');
  const undici = realpathSync(join(root, 'node_modules/undici'));
  const inputs = [...filesUnder(apps), join(undici, 'package.json')];
  return await cached(`images/sample-${hash}-${hashOf(inputs)}.tar`, async (out) => {
    log('packing the sample applications');
    await inScratch(async (scratch) => {
      const folder = join(scratch, 'root');
      cpSync(apps, join(folder, 'app'), { recursive: true });
      cpSync(undici, join(folder, 'app/node_modules/undici'), { recursive: true });
      const own = join(scratch, 'layer.tar');
      await packLayer(folder, own);
      await packImage(out, imageReferences.sample, [layer, own], {
        Entrypoint: ['/usr/local/bin/node'],
        Cmd: ['/app/web.cjs'],
        Env: [path],
        User: '1000:1000',
        WorkingDir: '/app',
      });
    });
  });
}

async function tracecarArchive(log: (line: string) => void): Promise<string> {
  const { hash, layer } = await baseLayer(log);
  // Whoever else builds dist/ at this moment would pull it from under our feet.
  return await withLock(`dist-${hashOfText(root)}`, async () => {
    await buildDist(log);
    const inputs = [
      ...filesUnder(join(root, 'dist')),
      ...['Dockerfile', '.dockerignore', 'package.json'].map((name) => join(root, name)),
    ];
    return await cached(`images/tracecar-${hash}-${hashOf(inputs)}.tar`, async (out) => {
      log(`building ${imageReferences.tracecar} from the Dockerfile`);
      await inScratch(async (scratch) => await buildImage(scratch, layer, out));
      // Every changed source makes another one of 160 MB.
      forgetOld('images/tracecar-', 5);
    });
  });
}

/** buildah without a user namespace, without a network and with a store that is gone afterwards. */
async function buildImage(scratch: string, layer: string, out: string): Promise<void> {
  const base = join(scratch, 'base.tar');
  await packImage(base, baseReference, [layer], { Env: [path], Cmd: ['/usr/local/bin/node'] });
  const buildah = async (args: readonly string[]): Promise<string> => {
    const store = ['--root', join(scratch, 'store'), '--runroot', join(scratch, 'run')];
    return await runOrThrow(['buildah', ...store, ...args], {
      timeoutMs: 300_000,
      env: { BUILDAH_ISOLATION: 'chroot', STORAGE_DRIVER: 'vfs' },
    });
  };
  await buildah(['pull', '--quiet', `docker-archive:${base}`]);
  const from = ['--from', baseReference, '--pull-never', '--network', 'none'];
  const tag = ['--tag', imageReferences.tracecar];
  await buildah(['build', '--quiet', ...from, ...tag, '-f', join(root, 'Dockerfile'), root]);
  const target = `docker-archive:${out}:${imageReferences.tracecar}`;
  await buildah(['push', '--quiet', imageReferences.tracecar, target]);
}

/** `npm run build`, unless dist/ is younger than everything it is made of. */
async function buildDist(log: (line: string) => void): Promise<void> {
  const built = join(root, 'dist/tracecar');
  const sources = [
    ...filesUnder(join(root, 'src')),
    ...filesUnder(join(root, 'injector')),
    ...['tools/build.ts', 'package.json'].map((name) => join(root, name)),
  ];
  const newest = Math.max(...sources.map((file) => statSync(file).mtimeMs));
  if (existsSync(built) && statSync(built).mtimeMs > newest) return;
  log('building dist/');
  await runOrThrow([process.execPath, join(root, 'tools/build.ts')], { timeoutMs: 120_000 });
}

function filesUnder(folder: string): string[] {
  return globSync('**/*', { cwd: folder })
    .map((name) => join(folder, name))
    .filter((file) => statSync(file).isFile())
    .sort();
}

function hashOf(files: readonly string[]): string {
  const hash = createHash('sha256');
  for (const file of files) hash.update(`${file.replace(root, '')}\n`).update(readFileSync(file));
  return hash.digest('hex').slice(0, 12);
}

function hashOfText(text: string): string {
  return createHash('sha256').update(text).digest('hex').slice(0, 12);
}

async function inScratch(body: (folder: string) => Promise<void>): Promise<void> {
  const folder = mkdtempSync(join(tmpdir(), 'tracecar-image-'));
  try {
    await body(folder);
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
}
