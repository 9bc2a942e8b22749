/**
 * The rules as one nft table: one transaction writes it, and the kernel's JSON says what is there.
 */

import type { Backend } from './backend.ts';
import { nftDifferences } from './nft-listing.ts';
import { nftRemoval, nftTable, printRules, tableName } from './rules.ts';
import { explain, isRefused, type RunProgram } from './run-program.ts';

export const nftBackend: Backend = {
  name: 'nft',
  print: printRules,

  async apply(options, run) {
    const applied = await run('nft', ['-f', '-'], printRules(options));
    return applied.status === 0 ? '' : explain('nft', applied);
  },

  async differences(options, run) {
    const listed = await run('nft', ['-j', 'list', 'table', 'inet', tableName]);
    if (listed.status === 0) return nftDifferences(listed.output, nftTable(options));
    if (!isAbsent(listed.errors)) return [explain('nft', listed)];
    return [`the table ${tableName} of nft is not loaded`];
  },

  async loadedIn(run) {
    return (await isLoaded(run)) === true ? `the table ${tableName} of nft` : '';
  },

  async remove(run) {
    const loaded = await isLoaded(run);
    if (typeof loaded === 'string') return loaded;
    if (!loaded) return '';
    const removed = await run('nft', ['-f', '-'], nftRemoval);
    return removed.status === 0 ? '' : explain('nft', removed);
  },
};

/** Or the problem in one line. A kernel or an image without nft holds no table of ours. */
async function isLoaded(run: RunProgram): Promise<boolean | string> {
  const listed = await run('nft', ['list', 'table', 'inet', tableName]);
  if (listed.status === 0) return true;
  return isRefused(listed) ? explain('nft', listed) : false;
}

const isAbsent = (errors: string) => /No such file or directory/.test(errors);
