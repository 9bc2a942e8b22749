/**
 * A process whose memory nobody gets: no core dump, also none piped to a collector of the node, and no
 * debugger or `/proc/PID/mem` for another process of the same user (prctl PR_SET_DUMPABLE 0).
 *
 * For programs that hold private keys. Root can do all of it still. Linux with node:ffi only; elsewhere
 * the limit of core files that the launcher sets (tools/build.ts) is what there is.
 */

import { quietly } from '../proxy/socket/original-destination.ts';

const setDumpable = 4;

/** False where it cannot be done: there the process is as before. */
export function hideMemory(): boolean {
  if (process.platform !== 'linux') return false;
  try {
    const ffi = quietly(() => process.getBuiltinModule('node:ffi'));
    const { functions } = ffi.dlopen(null, {
      prctl: {
        return: 'int32',
        arguments: ['int32', 'uint64', 'uint64', 'uint64', 'uint64'],
      },
    });
    return functions.prctl(setDumpable, 0n, 0n, 0n, 0n) === 0;
  } catch {
    return false;
  }
}
