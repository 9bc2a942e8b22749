/**
 * An example that is ended by Ctrl-C as soon as it prints, and what it leaves behind.
 */

import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { readdirSync } from 'node:fs';
import { resolve } from 'node:path';
import type { TestContext } from 'node:test';
import { temporaryFolder } from './sidecar-process.ts';

const root = resolve(import.meta.dirname, '../..');

export interface Interrupted {
  /** While it ran, in the folder for temporary files. */
  readonly during: readonly string[];
  readonly after: readonly string[];
  readonly status: number | null;
}

export async function interruptExample(t: TestContext, program: string): Promise<Interrupted> {
  const folder = temporaryFolder(t);
  const left = () => readdirSync(folder).filter((name) => name.startsWith('tracecar-'));
  const child = spawn(process.execPath, [program], {
    cwd: root,
    env: { ...process.env, TMPDIR: folder },
    stdio: ['ignore', 'pipe', 'inherit'],
  });
  t.after(() => child.kill('SIGKILL'));
  const ended = once(child, 'exit') as Promise<[number | null]>;
  const early = ended.then(([status]) => assert.fail(`it ended with status ${status}, silently`));
  await Promise.race([once(child.stdout, 'data'), early]);
  const during = left();
  child.stdout.resume();
  child.kill('SIGINT');
  const [status] = await ended;
  return { during, after: left(), status };
}
