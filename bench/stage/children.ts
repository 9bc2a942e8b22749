/**
 * The processes of a run: started pinned to a core, and never left behind.
 *
 * All of them end when the bench ends, in whatever way: by `stopAll`, by the exit handler, and, where
 * the kernel can be asked (setpriv), by a signal that Linux sends when the bench is killed outright.
 * Every process keeps its own id through setpriv and taskset, which replace themselves (exec).
 */

import { type ChildProcess, type Serializable, type StdioOptions, spawn } from 'node:child_process';
import { once } from 'node:events';
import { existsSync } from 'node:fs';

export interface Launch {
  readonly command: string;
  readonly args: readonly string[];
  /** The core it may use; undefined leaves the choice to the kernel. */
  readonly core: number | undefined;
  readonly directory: string;
  readonly environment?: Readonly<Record<string, string>>;
  /** Opens a message channel to a Node.js program. */
  readonly channel?: boolean;
}

const setpriv = '/usr/bin/setpriv';
const taskset = '/usr/bin/taskset';
const graceMs = 2000;
const outputTailBytes = 8000;

export class Child {
  readonly process: ChildProcess;
  /** The core it was pinned to. */
  readonly core: number | undefined;
  readonly #command: string;
  #output = '';

  constructor(launch: Launch) {
    this.#command = launch.command;
    this.core = launch.core;
    const [command, ...args] = wrap(launch) as [string, ...string[]];
    const stdio: StdioOptions = [
      'ignore',
      'pipe',
      'pipe',
      ...(launch.channel ? ['ipc'] : []),
    ] as never;
    this.process = spawn(command, args, {
      cwd: launch.directory,
      env: { ...process.env, ...launch.environment },
      stdio,
    });
    for (const stream of [this.process.stdout, this.process.stderr]) {
      stream?.on('data', (chunk: Buffer) => {
        this.#output = (this.#output + chunk.toString('utf8')).slice(-outputTailBytes);
      });
    }
    this.process.on('error', (error) => {
      this.#output += error.message;
    });
  }

  /** The process id; throws when the program could not be started at all. */
  get pid(): number {
    const pid = this.process.pid;
    if (pid === undefined) throw new Error(`cannot start ${this.#command}: ${this.#output}`);
    return pid;
  }

  get hasEnded(): boolean {
    return this.process.exitCode !== null || this.process.signalCode !== null;
  }

  /** Resolves when it has printed `word`; rejects when it ends before. */
  async says(word: string): Promise<void> {
    while (!this.#output.includes(word)) {
      if (this.hasEnded) throw new Error(this.describeEnd());
      await Promise.race([once(this.process.stdout!, 'data'), once(this.process, 'close')]);
    }
  }

  /** All that a short program printed, once it has ended well; rejects when it has not in time. */
  async finish(patienceMs: number): Promise<string> {
    const timer = setTimeout(() => this.process.kill('SIGKILL'), patienceMs);
    await once(this.process, 'close');
    clearTimeout(timer);
    if (this.process.exitCode !== 0) throw new Error(this.describeEnd());
    return this.#output;
  }

  /** The last of what it printed, for the message about its end. */
  describeEnd(): string {
    const { exitCode, signalCode } = this.process;
    return `${this.#command} ended (${signalCode ?? `status ${exitCode}`}): ${this.#output.trim()}`;
  }
}

export class Children {
  readonly #running = new Set<Child>();
  readonly #closings = new Set<() => Promise<void>>();

  constructor() {
    process.on('exit', () => this.#kill('SIGKILL'));
  }

  start(launch: Launch): Child {
    const child = new Child(launch);
    this.#running.add(child);
    child.process.once('exit', () => this.#running.delete(child));
    return child;
  }

  /** The ids of those that run on `core`. */
  pidsOn(core: number): readonly number[] {
    const there = [...this.#running].filter((child) => child.core === core && !child.hasEnded);
    return there.flatMap((child) => child.process.pid ?? []);
  }

  /** SIGTERM, and SIGKILL for what is still there after two seconds. */
  async stop(child: Child): Promise<void> {
    if (child.hasEnded || child.process.pid === undefined) return;
    const ended = once(child.process, 'exit');
    child.process.kill('SIGTERM');
    const harder = setTimeout(() => child.process.kill('SIGKILL'), graceMs);
    await ended;
    clearTimeout(harder);
  }

  /** What `stopAll` must close besides, however the run ends; the answer takes it off the list. */
  closeAtEnd(close: () => Promise<void>): () => void {
    this.#closings.add(close);
    return () => this.#closings.delete(close);
  }

  async stopAll(): Promise<void> {
    const closings = [...this.#closings].map((close) => close());
    await Promise.all([...[...this.#running].map((child) => this.stop(child)), ...closings]);
  }

  #kill(signal: NodeJS.Signals): void {
    for (const child of this.#running) child.process.kill(signal);
  }
}

/**
 * Sends an order to a child with a channel and waits for its answer; rejects when it ends or says
 * nothing in time. One asker at a time: answers carry no question with them. Without an order, waits
 * for the first word of a child that has just started.
 */
export function askChild(
  child: Child,
  name: string,
  patienceMs: number,
  order?: Serializable,
): Promise<unknown> {
  return new Promise((resolve, reject) => {
    const finish = () => {
      clearTimeout(timer);
      child.process.off('message', onMessage);
      child.process.off('exit', onExit);
    };
    const onMessage = (message: unknown) => {
      finish();
      resolve(message);
    };
    const onExit = () => {
      finish();
      reject(new Error(`${name}: ${child.describeEnd()}`));
    };
    const timer = setTimeout(() => {
      finish();
      reject(new Error(`${name} did not answer within ${patienceMs} ms`));
    }, patienceMs);
    child.process.once('message', onMessage);
    child.process.once('exit', onExit);
    if (child.hasEnded) onExit();
    // A send that fails is followed by the exit that explains it.
    else if (order !== undefined) child.process.send(order, () => {});
  });
}

function wrap(launch: Launch): string[] {
  const dieWithBench = existsSync(setpriv) ? [setpriv, '--pdeathsig', 'KILL'] : [];
  const pin = launch.core === undefined ? [] : [taskset, '-c', String(launch.core)];
  return [...dieWithBench, ...pin, launch.command, ...launch.args];
}
