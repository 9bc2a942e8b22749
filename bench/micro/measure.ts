/**
 * How the micro-benchmarks measure and print: CPU nanoseconds of this thread per operation.
 *
 * A case is run in rounds that are long enough for the kernel's clock of CPU time (a few milliseconds
 * coarse). Printed are the best round, the median, and the spread from best to worst in per cent of
 * the median: above some 20 % the machine was busy and only the best round means something.
 */

import { writeSync } from 'node:fs';

export type Case = readonly [name: string, operation: () => void];

const ROUNDS = 11;
const ROUND_MS = 60;

/** Measures each case by itself, in order, and prints a line for it. */
export function measureAll(title: string, cases: readonly Case[]): void {
  print(`${title}: ns per operation, ${ROUNDS} rounds of ${ROUND_MS} ms`);
  for (const [name, operation] of cases) {
    const rounds = measure(operation).toSorted((left, right) => left - right);
    const best = rounds[0]!;
    const median = rounds[ROUNDS >> 1]!;
    const spread = ((rounds[ROUNDS - 1]! - best) / median) * 100;
    print(
      `${name.padEnd(52)} best ${best.toFixed(0).padStart(6)}  median ${median.toFixed(0).padStart(6)}` +
        `  spread ${spread.toFixed(0).padStart(4)} %`,
    );
  }
}

/** Nanoseconds of CPU per operation, for a caller that prints them itself. */
export function measureOne(operation: () => void): {
  readonly best: number;
  readonly median: number;
} {
  const rounds = measure(operation).toSorted((left, right) => left - right);
  return { best: rounds[0]!, median: rounds[ROUNDS >> 1]! };
}

/** One figure a round. */
function measure(operation: () => void): number[] {
  const operations = operationsFor(operation);
  return Array.from({ length: ROUNDS }, () => {
    const start = process.threadCpuUsage();
    for (let index = 0; index < operations; index++) operation();
    const { user, system } = process.threadCpuUsage(start);
    return ((user + system) * 1_000) / operations;
  });
}

/** How often `operation` fits into a round, once its code is compiled. */
function operationsFor(operation: () => void): number {
  for (let operations = 1_000; ; operations *= 2) {
    const start = process.hrtime.bigint();
    for (let index = 0; index < operations; index++) operation();
    const ms = Number(process.hrtime.bigint() - start) / 1e6;
    if (ms >= ROUND_MS / 2) return Math.ceil((operations * ROUND_MS) / ms);
  }
}

function print(line: string): void {
  writeSync(1, `${line}\n`);
}
