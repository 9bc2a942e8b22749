/**
 * Which runs of `tracecar run` there are on this machine: one file each in /run/tracecar, by its number.
 *
 * The number names everything that a run makes. The file appears with its content or not at all, and
 * goes last, so whoever finds the file of a process that is gone knows what that one left behind. Only
 * who holds the lock makes, takes away or judges.
 */

import {
  existsSync,
  linkSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  rmSync,
  writeFileSync,
} from 'node:fs';
import { networkInterfaces } from 'node:os';
import { join } from 'node:path';
import { StartError } from './listen-problem.ts';

const folder = '/run/tracecar';
/** 169.254.0.0/24 and 169.254.255.0/24 are reserved (RFC 3927), 169.254.169.254 is a cloud's. */
const numbers = Array.from({ length: 254 }, (_none, index) => index + 1).filter((n) => n !== 169);

/** Says that forwarding was off before the first run. */
export const forwardingMark = join(folder, 'forwarding-was-off');

const fileOf = (number: number) => join(folder, `run-${number}`);
const lock = join(folder, 'lock');
const lockPatienceMs = 20_000;
const lockPauseMs = 10;

/** Runs `action` while no other run of this machine does. Throws StartError, and what it throws. */
export function withLock<T>(action: () => T): T {
  return withDraft((draft) => {
    for (let waitedMs = 0; !isLinked(draft, lock); waitedMs += lockPauseMs) {
      if (isOfTheDead(lock)) rmSync(lock, { force: true });
      else if (waitedMs < lockPatienceMs) pause(lockPauseMs);
      else throw new StartError(`another \`tracecar run\` starts or ends, and holds ${lock}`);
    }
    try {
      return action();
    } finally {
      rmSync(lock, { force: true });
    }
  });
}

/** Nothing of ours goes on meanwhile: there is nothing to go on with before the lock. */
function pause(ms: number): void {
  Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, ms);
}

/** Takes a free number for this process. Throws StartError. */
export function claimNumber(): number {
  return withDraft((draft) => {
    const number = numbers.filter(isFree).find((each) => isLinked(draft, fileOf(each)));
    if (number !== undefined) return number;
    throw new StartError(`${numbers.length} runs at a time are the most`);
  });
}

let drafts = 0;

/** A file that names this process, to be linked to where it counts. */
function withDraft<T>(use: (draft: string) => T): T {
  drafts += 1;
  const draft = join(folder, `draft-${process.pid}-${drafts}`);
  try {
    mkdirSync(folder, { recursive: true });
    writeFileSync(draft, `${process.pid} ${startOf(process.pid)}\n`);
  } catch (error) {
    throw new StartError(`cannot write to ${folder}: ${(error as Error).message}`);
  }
  try {
    return use(draft);
  } finally {
    rmSync(draft, { force: true });
  }
}

/** Nobody else on this machine has an address of its network. */
function isFree(number: number): boolean {
  const start = `169.254.${number}.`;
  const addresses = Object.values(networkInterfaces()).flatMap((each) => each ?? []);
  return !addresses.some(({ address }) => address.startsWith(start));
}

function isLinked(from: string, to: string): boolean {
  try {
    linkSync(from, to);
    return true;
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'EEXIST') return false;
    throw new StartError(`cannot write ${to}: ${(error as Error).message}`);
  }
}

export function releaseNumber(number: number): void {
  rmSync(fileOf(number), { force: true });
}

export interface Runs {
  /** Their processes run. */
  readonly alive: readonly number[];
  /** Their processes are gone, what they made may be there. */
  readonly dead: readonly number[];
}

/** Every run that has a file. */
export function listRuns(): Runs {
  const [alive, dead]: [number[], number[]] = [[], []];
  for (const name of namesIn(folder)) {
    const number = /^run-(\d+)$/.exec(name)?.[1];
    if (number === undefined) continue;
    (isAlive(fileOf(Number(number))) ? alive : dead).push(Number(number));
  }
  return { alive, dead };
}

function namesIn(path: string): readonly string[] {
  try {
    return readdirSync(path);
  } catch {
    return [];
  }
}

/** The process of a number, not another one that has its id by now. */
function isAlive(file: string): boolean {
  try {
    const [pid = '', start] = readFileSync(file, 'utf8').trim().split(' ');
    return startOf(Number(pid)) === start;
  } catch {
    return false;
  }
}

/** Not so when the file has just gone: somebody else may have a new one there by now. */
function isOfTheDead(file: string): boolean {
  return existsSync(file) && !isAlive(file);
}

/** When a process started, in the kernel's ticks; throws when there is none. */
function startOf(pid: number): string {
  const stat = readFileSync(`/proc/${pid}/stat`, 'utf8');
  // The name stands in brackets and may hold anything; what we want is field 22.
  return stat.slice(stat.lastIndexOf(')') + 2).split(' ')[19]!;
}
