/**
 * koffi beside the bundles: the way to original destinations where Node.js has no node:ffi.
 *
 * It is not bundled, because it finds its native file by its own place. Copied is what runs: its
 * scripts, and of its native files the one for glibc and the processor of this machine, as the image
 * has them. It is optional: npm leaves it out where there is no native file.
 */

import { cpSync, existsSync, mkdirSync, statSync } from 'node:fs';
import { dirname, join } from 'node:path';

/** Copies from `root`/node_modules to `out`/node_modules. Gives the bytes; 0 when it is not there. */
export function copyKoffi(root: string, out: string): number {
  const native = `@koromix/koffi-linux-${process.arch}`;
  const files = [
    ...['package.json', 'LICENSE.txt', 'index.cjs', 'src/koffi/index.cjs'].map(
      (file) => `koffi/${file}`,
    ),
    'koffi/src/koffi/src/static.cjs',
    `${native}/index.js`,
    `${native}/package.json`,
    `${native}/linux_${process.arch}/koffi.node`,
  ];
  const from = join(root, 'node_modules');
  if (!files.every((file) => existsSync(join(from, file)))) return 0;
  let bytes = 0;
  for (const file of files) {
    const target = join(out, 'node_modules', file);
    mkdirSync(dirname(target), { recursive: true });
    cpSync(join(from, file), target);
    bytes += statSync(target).size;
  }
  return bytes;
}
