/**
 * Whether `npm run` is still there, which started us: a killed one says nothing to its children, and
 * nobody at the terminal would know of a demo that goes on.
 *
 *   npm ── sh -c ── demo       or, where sh becomes its last command, npm ── demo
 */

import { readFileSync } from 'node:fs';

const lookMs = 500;

/** Resolves when npm is gone; never for a demo that something else started. */
export function npmGone(): Promise<void> {
  return new Promise((settle) => {
    if (process.env.npm_lifecycle_event === undefined) return;
    const before = ancestors();
    const looking = setInterval(() => {
      if (ancestors() === before) return;
      clearInterval(looking);
      settle();
    }, lookMs);
    looking.unref();
  });
}

/** Our parent, and the shell's when it is one: who loses a parent gets another one. */
function ancestors(): string {
  const { ppid } = process;
  try {
    // The name stands in brackets and may hold anything; what follows are state and parent.
    const [, name = '', parent = ''] = /\((.*)\) \S (\d+)/s.exec(
      readFileSync(`/proc/${ppid}/stat`, 'utf8'),
    )!;
    return /^(npm|node)/.test(name) ? `${ppid}` : `${ppid} ${parent}`;
  } catch {
    // No Linux, or it has just gone.
    return `${ppid}`;
  }
}
