/**
 * The secret that `/drain` of the health port asks for: given, or made by the sidecar for its own pod.
 *
 * A manifest in a repository can hold no secret, and all pods of a template would share it. So there the
 * sidecar makes one when it starts and leaves it in a file that its container alone has; the preStop hook,
 * which runs in that container, reads it (injector/patch-containers.ts).
 */

import { renameSync, rmSync, writeFileSync } from 'node:fs';
import type { Random } from '../base/random.ts';
import { codeOf, StartError } from './listen-problem.ts';
import type { ProxySettings } from './proxy-settings.ts';

/** Empty when nobody may drain through that port. Throws StartError when the file cannot be written. */
export function drainSecretOf(
  { drainSecret, drainSecretFile }: Pick<ProxySettings, 'drainSecret' | 'drainSecretFile'>,
  random: Random,
): string {
  if (drainSecret !== '' || drainSecretFile === '') return drainSecret;
  const words = [random.u32(), random.u32(), random.u32(), random.u32()];
  const secret = words.map((word) => word.toString(16).padStart(8, '0')).join('');
  const beside = `${drainSecretFile}.new`;
  try {
    // A sidecar that starts again finds what it left; its hook must never read half of one.
    rmSync(beside, { force: true });
    writeFileSync(beside, secret, { mode: 0o600, flag: 'wx' });
    renameSync(beside, drainSecretFile);
  } catch (error) {
    throw new StartError(
      `TRACECAR_DRAIN_SECRET_FILE: ${drainSecretFile} cannot be written (${codeOf(error)}); its folder must be this user's`,
    );
  }
  return secret;
}
