/**
 * Packs folders as layers into an image archive that containerd imports and buildah pulls, without a
 * daemon and without a registry: a tar file of layers, a configuration and a manifest.
 *
 * The same content gives the same bytes: names sorted, times and owners set. Format: the image-spec of
 * `docker save` (manifest.json, version 1.2), which both programs still read.
 */

import { createHash } from 'node:crypto';
import { createReadStream, mkdirSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { pipeline } from 'node:stream/promises';
import { runOrThrow } from '../command.ts';

/** What runs when nothing else is said (image-spec, `config`). */
export interface ImageConfig {
  readonly Entrypoint?: readonly string[];
  readonly Cmd?: readonly string[];
  readonly Env?: readonly string[];
  readonly User?: string;
  readonly WorkingDir?: string;
}

const sameBytes = ['--sort=name', '--mtime=@0', '--owner=0', '--group=0', '--numeric-owner'];

/** Packs a folder's content as one layer. */
export async function packLayer(folder: string, file: string): Promise<void> {
  await runOrThrow(['tar', ...sameBytes, '-C', folder, '-cf', file, '.'], { timeoutMs: 120_000 });
}

/** Packs layers, lowest first, as the image `name`. */
export async function packImage(
  file: string,
  name: string,
  layers: readonly string[],
  config: ImageConfig,
): Promise<void> {
  const scratch = `${file}.parts`;
  rmSync(scratch, { recursive: true, force: true });
  mkdirSync(scratch);
  const digests: string[] = [];
  for (const layer of layers) {
    const digest = await digestOf(layer);
    digests.push(digest);
    mkdirSync(join(scratch, digest));
    symlinkSync(layer, join(scratch, digest, 'layer.tar'));
  }
  const image = JSON.stringify({
    architecture: process.arch === 'x64' ? 'amd64' : process.arch,
    os: 'linux',
    config,
    rootfs: { type: 'layers', diff_ids: digests.map((digest) => `sha256:${digest}`) },
  });
  const imageFile = `${createHash('sha256').update(image).digest('hex')}.json`;
  const paths = digests.map((digest) => `${digest}/layer.tar`);
  writeFileSync(join(scratch, imageFile), image);
  writeFileSync(
    join(scratch, 'manifest.json'),
    JSON.stringify([{ Config: imageFile, RepoTags: [name], Layers: paths }]),
  );
  const members = [...paths, imageFile, 'manifest.json'];
  const from = ['--dereference', '-C', scratch, '-cf', file];
  await runOrThrow(['tar', ...sameBytes, ...from, ...members], { timeoutMs: 120_000 });
  rmSync(scratch, { recursive: true });
}

async function digestOf(file: string): Promise<string> {
  const hash = createHash('sha256');
  await pipeline(createReadStream(file), hash);
  return hash.digest('hex');
}
