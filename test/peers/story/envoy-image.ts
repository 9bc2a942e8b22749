/**
 * Envoy as a container image: the released binary of `npm run peers envoy` over the tests' own base.
 */

import { spawnSync } from 'node:child_process';
import { createHash } from 'node:crypto';
import { cpSync, mkdirSync, mkdtempSync, realpathSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { findPeer, installCommand } from '../../../tools/peers.ts';
import { cached } from '../cache.ts';
import type { Cluster } from '../cluster/cluster.ts';
import { runOrThrow } from '../cluster/command.ts';
import { packImage, packLayer } from '../cluster/image/archive.ts';
import { findBase } from '../cluster/image/base.ts';

export const envoyReference = 'localhost/envoy:test';

/** Undefined when the story can be told with Envoy in it. */
export function whyNoEnvoy(): string | undefined {
  if (findPeer('envoy') !== undefined) return undefined;
  return `missing: envoy; install with: ${installCommand(['envoy'])}`;
}

/** Packs the image, unless the cache has it, and loads it. Gives Envoy's version. */
export async function loadEnvoy(cluster: Cluster): Promise<string> {
  const envoy = findPeer('envoy');
  if (envoy === undefined) throw new Error(whyNoEnvoy());
  const base = findBase();
  const hash = createHash('sha256').update(`${base.hash} ${envoy.version}`).digest('hex');
  const archive = await cached(`images/envoy-${hash.slice(0, 12)}.tar`, async (out) => {
    const scratch = mkdtempSync(join(tmpdir(), 'tracecar-envoy-'));
    try {
      const folder = join(scratch, 'root');
      mkdirSync(folder);
      base.write(folder);
      cpSync(realpathSync(envoy.path), join(folder, 'usr/local/bin/envoy'));
      for (const library of librariesOf(envoy.path)) {
        const to = join(folder, library.replace(/^\/(usr\/)?/, 'usr/'));
        cpSync(realpathSync(library), to, { force: true });
      }
      const layer = join(scratch, 'layer.tar');
      await packLayer(folder, layer);
      await packImage(out, envoyReference, [layer], {
        Entrypoint: ['/usr/local/bin/envoy'],
        User: '1337:1337',
      });
    } finally {
      rmSync(scratch, { recursive: true, force: true });
    }
  });
  const address = ['-a', join(cluster.folder, 'containerd.sock'), '-n', 'k8s.io'];
  await runOrThrow(['ctr', ...address, 'images', 'import', archive], { timeoutMs: 120_000 });
  return envoy.version;
}

function librariesOf(program: string): string[] {
  const { stdout } = spawnSync('ldd', [realpathSync(program)], { encoding: 'utf8' });
  return [...stdout.matchAll(/(?:=> |^\s)(\/\S+) \(0x/gm)].map((match) => match[1]!);
}
