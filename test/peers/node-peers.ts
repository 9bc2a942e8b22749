/**
 * Older Nodes, as applications in the mesh run them: the packages of npm that hold nothing but the
 * released program, kept in the cache of the peers.
 */

import { execFileSync, spawnSync } from 'node:child_process';
import { existsSync, mkdirSync, readdirSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import { cached, cachePath } from './cache.ts';

export interface NodePeer {
  readonly name: string;
  readonly version: string;
}

export const nodePeers: readonly NodePeer[] = [
  { name: 'node22', version: '22.23.3' },
  { name: 'node24', version: '24.21.0' },
];

function keyOf({ version }: NodePeer): string {
  return `node-${version}-${process.arch}`;
}

/** Its path in the cache; undefined when it is not there. */
export function findNodeProgram(peer: NodePeer): string | undefined {
  const path = join(cachePath(keyOf(peer)), 'package/bin/node');
  return existsSync(path) ? path : undefined;
}

/** Fetches it from npm, 45 MB packed. Throws where npm has none for this machine. */
export async function fetchNodePeer(peer: NodePeer, say: (line: string) => void): Promise<void> {
  const { name, version } = peer;
  const wanted = `node-${process.platform}-${process.arch}@${version}`;
  say(`fetching ${wanted} from npm`);
  await cached(keyOf(peer), async (folder) => {
    mkdirSync(folder, { recursive: true });
    const { status } = spawnSync('npm', ['pack', '--silent', wanted], {
      cwd: folder,
      stdio: ['ignore', 'ignore', 'inherit'],
    });
    const archive = readdirSync(folder)[0];
    if (status !== 0 || archive === undefined) throw new Error(`npm has no ${name}: ${wanted}`);
    execFileSync('tar', ['-xzf', archive], { cwd: folder });
    rmSync(join(folder, archive));
  });
}
