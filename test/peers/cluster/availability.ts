/**
 * Whether a cluster can run on this machine, without starting anything: the reason why not, and what
 * would help. A test that is skipped prints it, so a missing peer is never silent.
 */

import { existsSync } from 'node:fs';
import { delimiter, join } from 'node:path';
import { findGoProgram, goPeers } from '../go-peers.ts';
import { pluginFolder } from './components.ts';

const programs = [
  ...['containerd', 'ctr', 'runc', 'buildah', 'nft', 'ip', 'iptables', 'conntrack', 'openssl'],
  ...['nsenter', 'setpriv', 'sysctl', 'tar', 'umount'],
];

/** Undefined when a cluster can run here. */
export function whyNoCluster(): string | undefined {
  if (process.platform !== 'linux') return 'a cluster runs on Linux only';
  if (process.getuid?.() !== 0) return 'a cluster needs root: sudo npm run test:peers';
  const unbuilt = goPeers
    .filter((peer) => findGoProgram(peer.programs[0]!) === undefined)
    .map((peer) => peer.name);
  const missing = programs.filter((program) => !isThere(program));
  if (!existsSync(`${pluginFolder()}/bridge`)) missing.push('CNI plugins');
  if (unbuilt.length + missing.length === 0) return undefined;
  return `missing: ${[...unbuilt, ...missing].join(', ')}; install with: npm run peers cluster`;
}

function isThere(program: string): boolean {
  const folders = [...(process.env.PATH ?? '').split(delimiter), '/usr/sbin', '/sbin'];
  return folders.some((folder) => existsSync(join(folder, program)));
}
