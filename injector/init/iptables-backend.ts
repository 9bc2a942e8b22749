/**
 * The rules through iptables-restore and ip6tables-restore, one transaction for each family.
 *
 * A kernel can hold two sets of iptables rules that do not know of each other: of nf_tables, which needs
 * NET_ADMIN, and the legacy one, which needs NET_RAW too. The one that has rules already is taken, of
 * nf_tables before legacy; ours are in one of them only.
 */

import { existsSync, readFileSync } from 'node:fs';
import type { Backend } from './backend.ts';
import {
  comparedChains,
  holdsOurs,
  iptablesChains,
  printIptables,
  printIptablesRemoval,
  readSaved,
  type SavedChains,
} from './iptables-rules.ts';
import { readChainNames } from './nft-listing.ts';
import { ruleDifferences } from './rule-differences.ts';
import type { RuleOptions } from './rules.ts';
import {
  explain,
  isMissing,
  isRefused,
  isUnsupported,
  type ProgramRun,
  type RunProgram,
} from './run-program.ts';

const families = [4, 6] as const;
type Family = (typeof families)[number];
type Variant = 'nft' | 'legacy';

/** One table nat of the kernel. */
interface Place {
  readonly variant: Variant;
  readonly family: Family;
}

/** One that holds rules of ours. */
interface Loaded extends Place {
  readonly saved: SavedChains;
}

export const iptablesBackend: Backend = {
  name: 'iptables',

  print: (options) =>
    families
      .map((family) => {
        const program = `${baseName(family)}-restore ${restoreFlags.join(' ')}`;
        return `# ${program}\n${printIptables(options, family, new Map())}`;
      })
      .join(''),

  async apply(options, run) {
    const variant = await chooseVariant(run);
    const problem = await applyBy(variant, options, run);
    if (!problem.isUnsupported || variant !== 'nft') return problem.text;
    // A kernel without nf_tables may have the older tables.
    const second = await applyBy('legacy', options, run);
    return second.text === '' ? '' : `${problem.text}; then ${second.text}`;
  },

  async differences(options, run) {
    const loaded = await findLoaded(run);
    if (typeof loaded === 'string') return [loaded];
    if (new Set(loaded.map(({ variant }) => variant)).size > 1) {
      return [`there are rules in ${namesOf(loaded)}: \`--remove\` them`];
    }
    return familiesHere().flatMap((family) => {
      const saved = loaded.find((each) => each.family === family)?.saved;
      if (saved === undefined) return [`${chainsText} of ${baseName(family)} are not loaded`];
      return comparedChains(options, family, saved).flatMap(({ chain, expected, found }) => {
        const where = `${chain} of ${baseName(family)}`;
        if (found === undefined) return [`the chain ${where} is not loaded`];
        return ruleDifferences(where, expected, found);
      });
    });
  },

  async loadedIn(run) {
    const loaded = await findLoaded(run);
    return typeof loaded === 'string' ? '' : namesOf(loaded);
  },

  async remove(run) {
    const loaded = await findLoaded(run);
    if (typeof loaded === 'string') return loaded;
    return (await removeFrom(loaded, run)).text;
  },
};

const chainsText = `the chains ${Object.values(iptablesChains).join(' and ')}`;
/** The legacy programs wait for each other's lock, at most so many seconds. */
const restoreFlags = ['--noflush', '-w', '5'];
const baseName = (family: Family) => (family === 4 ? 'iptables' : 'ip6tables');

function namesOf(loaded: readonly Place[]): string {
  const names = loaded.map(({ variant, family }) => `${baseName(family)}-${variant}`);
  return names.length === 0 ? '' : `${chainsText} of ${names.join(' and ')}`;
}

/** Runs `iptables-legacy-save` and the like; before release 1.8 the legacy programs had no such name. */
async function runVariant(
  { variant, family }: Place,
  action: 'save' | 'restore',
  flags: readonly string[],
  run: RunProgram,
  input = '',
): Promise<{ program: string; done: ProgramRun }> {
  const program = `${baseName(family)}-${variant}-${action}`;
  const done = await run(program, flags, input);
  if (variant !== 'legacy' || !isMissing(done)) return { program, done };
  const plain = `${baseName(family)}-${action}`;
  return { program: plain, done: await run(plain, flags, input) };
}

/** A kernel without IPv6 has no connection of it that could go past the rules. */
function familiesHere(): readonly Family[] {
  return existsSync('/proc/net/if_inet6') ? families : [4];
}

interface Problem {
  readonly text: string;
  readonly isUnsupported: boolean;
}

const noProblem: Problem = { text: '', isUnsupported: false };

/** The first family that fails ends it: what is loaded then redirects too much, never too little. */
async function applyBy(variant: Variant, options: RuleOptions, run: RunProgram): Promise<Problem> {
  for (const family of familiesHere()) {
    const place = { variant, family };
    const saved = await saveNat(place, run);
    if ('problem' in saved) return saved.problem;
    const problem = await restore(place, printIptables(options, family, saved.chains), run);
    if (problem.text !== '') return problem;
  }
  const loaded = await findLoaded(run);
  if (typeof loaded === 'string') return { text: loaded, isUnsupported: false };
  return removeFrom(
    loaded.filter((each) => each.variant !== variant),
    run,
  );
}

async function removeFrom(loaded: readonly Loaded[], run: RunProgram): Promise<Problem> {
  for (const place of loaded) {
    const problem = await restore(place, printIptablesRemoval(place.saved), run);
    if (problem.text !== '') return problem;
  }
  return noProblem;
}

async function restore(place: Place, text: string, run: RunProgram): Promise<Problem> {
  const { program, done } = await runVariant(place, 'restore', restoreFlags, run, text);
  return done.status === 0 ? noProblem : problemOf(program, done);
}

/** The table nat; without chains where it was never used. */
async function saveNat(
  place: Place,
  run: RunProgram,
): Promise<{ chains: SavedChains } | { problem: Problem }> {
  const { program, done } = await runVariant(place, 'save', ['-t', 'nat'], run);
  if (done.status === 0) return { chains: readSaved(done.output) };
  return { problem: problemOf(program, done) };
}

function problemOf(program: string, done: ProgramRun): Problem {
  return { text: explain(program, done), isUnsupported: isUnsupported(done) };
}

async function chooseVariant(run: RunProgram): Promise<Variant> {
  const saved = await run('iptables-nft-save', []);
  if (isMissing(saved) || isUnsupported(saved)) return 'legacy';
  if (hasRules(saved.output) || legacyTables(4).length === 0) return 'nft';
  const legacy = await run('iptables-legacy-save', []);
  return hasRules(legacy.output) ? 'legacy' : 'nft';
}

const hasRules = (saved: string) => /^-A /m.test(saved);

/** Legacy tables that this network namespace uses; asking for others would load them. */
function legacyTables(family: Family): string[] {
  try {
    const text = readFileSync(`/proc/net/${family === 4 ? 'ip' : 'ip6'}_tables_names`, 'utf8');
    return text.split('\n').filter((name) => name !== '');
  } catch {
    return [];
  }
}

/**
 * Every table nat that holds rules of ours, or the problem in one line. Legacy tables that cannot be
 * read here, for want of NET_RAW or of their program, were not written here either.
 */
async function findLoaded(run: RunProgram): Promise<readonly Loaded[] | string> {
  const chains = await run('nft', ['-j', 'list', 'chains']);
  if (isRefused(chains)) return explain('nft', chains);
  const isListed = chains.status === 0;
  const names = readChainNames(chains.output);
  const loaded: Loaded[] = [];
  for (const family of families) {
    const own = Object.values(iptablesChains).map(
      (chain) => `${family === 4 ? 'ip' : 'ip6'} nat ${chain}`,
    );
    const isNamed = own.some((name) => names.includes(name));
    const places: Place[] = [];
    // Where nft cannot say it, the programs themselves must.
    if (isNamed || !isListed) places.push({ variant: 'nft', family });
    if (legacyTables(family).includes('nat')) places.push({ variant: 'legacy', family });
    for (const place of places) {
      const saved = await saveNat(place, run);
      if ('chains' in saved && holdsOurs(saved.chains)) {
        loaded.push({ ...place, saved: saved.chains });
      }
      if ('problem' in saved && isNamed && place.variant === 'nft') return saved.problem.text;
    }
  }
  return loaded;
}
