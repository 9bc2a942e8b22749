/**
 * Which runs of `tracecar run` there are on this machine: one file each in /run/tracecar, by its number.
 *
 * The number names everything that a run makes. The file appears with its content or not at all, and
 * goes last, so whoever finds the file of a process that is gone knows what that one left behind. Only
 * who holds the lock makes, takes away or judges.
 */

import {
  closeSync,
  linkSync,
  mkdirSync,
  openSync,
  readdirSync,
  readFileSync,
  rmSync,
  writeFileSync,
} from 'node:fs';
import { networkInterfaces } from 'node:os';
import { join } from 'node:path';
import { StartError } from './listen-problem.ts';
import { runApart } from './run-apart.ts';

/** 169.254.0.0/24 and 169.254.255.0/24 are reserved (RFC 3927), 169.254.169.254 is a cloud's. */
const numbers = Array.from({ length: 254 }, (_none, index) => index + 1).filter((n) => n !== 169);

const lockPatienceSeconds = 20;

export interface Runs {
  /** Their processes run. */
  readonly alive: readonly number[];
  /** Their processes are gone, what they made may be there. */
  readonly dead: readonly number[];
}

export class RunRecord {
  /** Says that forwarding was off before the first run. */
  readonly forwardingMark: string;
  readonly #folder: string;

  /** /run/tracecar; another folder is for tests. */
  constructor(folder: string) {
    this.#folder = folder;
    this.forwardingMark = join(folder, 'forwarding-was-off');
  }

  /**
   * Runs `action` while no other run of this machine does. Throws StartError, and what it throws.
   *
   * The kernel keeps the lock with our open folder, whoever asked for it (flock(2)), and takes it back
   * when we end, be it by SIGKILL: no lock of a dead owner is left that somebody would have to judge.
   */
  withLock<T>(action: () => T): T {
    const descriptor = this.#openFolder();
    try {
      const asked = ['--exclusive', '--wait', `${lockPatienceSeconds}`, '3'];
      const { status, error, stderr } = runApart('flock', asked, { descriptor });
      if (status === 1) {
        throw new StartError(`another \`tracecar run\` starts or ends, and holds ${this.#folder}`);
      }
      if (status !== 0) throw new StartError(`flock said: ${error?.message ?? stderr.trim()}`);
      return action();
    } finally {
      closeSync(descriptor);
    }
  }

  /** Takes a free number for this process, which has the lock. Throws StartError. */
  claimNumber(): number {
    // It counts once it is linked to a number, and is whole then.
    const draft = join(this.#folder, `draft-${process.pid}`);
    try {
      writeFileSync(draft, `${process.pid} ${startOf(process.pid)}\n`);
      const free = numbers.filter(isFree);
      const number = free.find((each) => isLinked(draft, this.#fileOf(each)));
      if (number !== undefined) return number;
    } catch (error) {
      throw new StartError(`cannot write to ${this.#folder}: ${(error as Error).message}`);
    } finally {
      rmSync(draft, { force: true });
    }
    throw new StartError(`${numbers.length} runs at a time are the most`);
  }

  releaseNumber(number: number): void {
    rmSync(this.#fileOf(number), { force: true });
  }

  /** Every run that has a file. */
  list(): Runs {
    const [alive, dead]: [number[], number[]] = [[], []];
    for (const name of namesIn(this.#folder)) {
      const number = /^run-(\d+)$/.exec(name)?.[1];
      if (number === undefined) continue;
      (isAlive(this.#fileOf(Number(number))) ? alive : dead).push(Number(number));
    }
    return { alive, dead };
  }

  #fileOf(number: number): string {
    return join(this.#folder, `run-${number}`);
  }

  /** What we start does not inherit it: the lock would outlive us. */
  #openFolder(): number {
    try {
      mkdirSync(this.#folder, { recursive: true });
      return openSync(this.#folder, 'r');
    } catch (error) {
      throw new StartError(`cannot use ${this.#folder}: ${(error as Error).message}`);
    }
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
    throw error;
  }
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

/** When a process started, in the kernel's ticks; throws when there is none. */
function startOf(pid: number): string {
  const stat = readFileSync(`/proc/${pid}/stat`, 'utf8');
  // The name stands in brackets and may hold anything; what we want is field 22.
  return stat.slice(stat.lastIndexOf(')') + 2).split(' ')[19]!;
}
