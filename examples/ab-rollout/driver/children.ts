/**
 * The demo's child processes: started, waited for by what they print, ended with the demo.
 *
 * A child that ends before it is ready fails the start with its last words; a sidecar's JSON log is
 * read for the line `ready`, an application's output for `listens on`.
 */

import { type ChildProcess, spawn } from 'node:child_process';
import { resolve } from 'node:path';
import { createInterface } from 'node:readline';

/** For when we are killed and can ask nobody to end. */
const endWithParent = resolve(import.meta.dirname, 'end-with-parent.cjs');

export interface ChildOptions<Ready> {
  readonly name: string;
  readonly args: readonly string[];
  readonly environment: Readonly<Record<string, string>>;
  /** It ends when all others have. */
  readonly endsLast?: boolean;
  /** Gives something for the line that says that the child is ready, else undefined. */
  readonly isReady: (line: string) => Ready | undefined;
  /** Every line that the child prints after it is ready. */
  readonly onLine?: (line: string) => void;
}

/** The children of one demo; `endAll` leaves none behind. */
export class Children {
  readonly #running = new Map<ChildProcess, string>();
  readonly #last = new Set<ChildProcess>();
  #isEnding = false;
  readonly #onLoss: (name: string, lastWords: string) => void;

  /** `onLoss` hears of a child that ends although nobody asked it to. */
  constructor(onLoss: (name: string, lastWords: string) => void) {
    this.#onLoss = onLoss;
    // The last resort, when this process itself is thrown out: an exit handler may only be quick.
    process.on('exit', () => {
      for (const child of this.#running.keys()) child.kill('SIGKILL');
    });
  }

  /** Starts a Node.js program and resolves with what `isReady` gave; rejects when it ends before. */
  start<Ready extends object>(options: ChildOptions<Ready>) {
    return new Promise<Ready>((resolve, reject) => {
      const child = spawn(process.execPath, ['--require', endWithParent, ...options.args], {
        env: { ...process.env, ...options.environment },
        stdio: ['ignore', 'pipe', 'pipe', 'ipc'],
        // A group of its own: Ctrl-C reaches the demo alone, which then ends its children in order.
        detached: true,
      });
      this.#running.set(child, options.name);
      if (options.endsLast === true) this.#last.add(child);
      child.channel?.unref();
      const lastLines: string[] = [];
      let isReady = false;
      for (const stream of [child.stdout!, child.stderr!]) {
        createInterface({ input: stream }).on('line', (line) => {
          lastLines.push(line);
          if (lastLines.length > 20) lastLines.shift();
          if (isReady) {
            options.onLine?.(line);
            return;
          }
          const ready = options.isReady(line);
          if (ready === undefined) return;
          isReady = true;
          resolve(ready);
        });
      }
      child.on('error', reject);
      child.on('close', (status, signal) => {
        this.#running.delete(child);
        const end = signal ?? `status ${status}`;
        const lastWords = `${options.name} ended with ${end}\n${lastLines.join('\n')}`;
        if (!isReady) reject(new Error(lastWords));
        else if (!this.#isEnding) this.#onLoss(options.name, lastWords);
      });
    });
  }

  /** Asks every child to end, and after `patienceMs` makes it. */
  async endAll(patienceMs: number): Promise<void> {
    this.#isEnding = true;
    const force = setTimeout(() => {
      for (const child of this.#running.keys()) child.kill('SIGKILL');
    }, patienceMs);
    const all = [...this.#running.keys()];
    await Promise.all(all.filter((child) => !this.#last.has(child)).map(end));
    await Promise.all(all.map(end));
    clearTimeout(force);
  }
}

function end(child: ChildProcess): Promise<unknown> {
  if (child.exitCode !== null || child.signalCode !== null) return Promise.resolve();
  const ended = new Promise((settle) => child.once('close', settle));
  child.kill('SIGTERM');
  return ended;
}
