/**
 * The short programs of `tracecar run` (ip, nft, flock), each to its end, in a session of its own.
 *
 * A terminal sends Ctrl-C to every process of its group: a program in the midst of the network's making
 * or going would be ended by it, and half of it would stay. We hear it too, when the program is done.
 */

import { type SpawnSyncReturns, spawnSync } from 'node:child_process';

export interface ApartOptions {
  readonly input?: string;
  readonly cwd?: string;
  /** An open file that the program has as its descriptor 3. */
  readonly descriptor?: number;
}

export function runApart(
  program: string,
  args: readonly string[],
  { input = '', cwd, descriptor }: ApartOptions = {},
): SpawnSyncReturns<string> {
  const options = {
    input,
    encoding: 'utf8' as const,
    // Taken by spawnSync as by spawn (setsid(2)), although its documentation does not list it.
    detached: true,
    ...(descriptor === undefined ? {} : { stdio: [...pipes, descriptor] }),
    ...(cwd === undefined ? {} : { cwd }),
  };
  for (;;) {
    const done = spawnSync(program, args, options);
    // It was not yet in its own session, and has begun nothing.
    if (done.signal !== 'SIGINT' && done.signal !== 'SIGQUIT') return done;
  }
}

const pipes = ['pipe', 'pipe', 'pipe'] as const;
