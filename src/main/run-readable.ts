/**
 * Whether the sidecar of `tracecar run` may read what it is started from: its user is not the caller, and
 * a home folder is often closed to others.
 *
 * That user is asked, because a list of rights (ACL) may say more than the bits of a mode; the bits only
 * tell which folder it is. What is not there is for the sidecar to say.
 */

import { existsSync, realpathSync, statSync } from 'node:fs';
import { dirname } from 'node:path';
import { runApart } from './run-apart.ts';

/** A file, or a folder of files, and what to do when it is closed. */
export interface NeededPath {
  readonly path: string;
  /** What it is, for a person. */
  readonly what: string;
  readonly remedy: string;
}

/** Says which of its arguments cannot be read. */
const probe =
  'for path; do [ -r "$path" ] && { [ ! -d "$path" ] || [ -x "$path" ]; } || echo "$path"; done';

/** One line about the first path that `user`, as flags of setpriv, may not read; or undefined. */
export function whyUnreadable(
  user: readonly string[],
  uid: string,
  needed: readonly NeededPath[],
): string | undefined {
  const there = needed.filter(({ path }) => existsSync(path));
  const paths = there.map(({ path }) => realpathSync(path));
  const asked = [...user, '--', 'sh', '-c', probe, 'sh', ...paths];
  // A folder that this user may not enter is no place to start a shell in.
  const { status, stdout } = runApart('setpriv', asked, { cwd: '/' });
  const closed = stdout?.split('\n') ?? [];
  const index = status === 0 ? paths.findIndex((path) => closed.includes(path)) : -1;
  if (index === -1) return undefined;
  const { what, remedy } = there[index]!;
  const path = paths[index]!;
  return `the sidecar runs as user ${uid}, who may not read ${path} (${what}): ${whatIsClosed(path)}; ${remedy}`;
}

/** The outermost place at which others are stopped. */
function whatIsClosed(path: string): string {
  const places = [path];
  for (let place = path; place !== '/'; place = dirname(place)) places.unshift(dirname(place));
  for (const place of places) {
    const stat = statSync(place);
    const wanted = !stat.isDirectory() ? 0o4 : place === path ? 0o5 : 0o1;
    if ((stat.mode & wanted) === wanted) continue;
    const bits = (stat.mode & 0o777).toString(8).padStart(4, '0');
    return `${place} is closed to others (mode ${bits})`;
  }
  return 'its rights say so';
}
