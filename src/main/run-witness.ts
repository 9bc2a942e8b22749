/**
 * A process of our group that tells whether a signal came from the terminal, or was meant for us alone.
 *
 * A terminal sends Ctrl-C to the whole group, so the command has it already; `kill -INT` names only us,
 * and the command must get it from us. Nothing shows us the sender, but the witness has heard the first
 * and not the second. Asked by a later signal it answers after what it heard before: a shell takes
 * signals that wait by their numbers, and SIGUSR1 is behind both.
 */

import { type ChildProcess, spawn } from 'node:child_process';
import { createInterface } from 'node:readline';

/** Ends with its input, which ends with us. In the background of a shell cat hears neither signal. */
const script = `trap '' TERM HUP; trap 'echo SIGINT' INT; trap 'echo SIGQUIT' QUIT; trap 'echo asked' USR1
exec 3<&0; cat <&3 >/dev/null & echo ready
while kill -0 $!; do wait $!; done`;

export class TerminalWitness {
  /** Resolves when it hears, or will never do. */
  readonly ready: Promise<void>;
  readonly #child: ChildProcess;
  readonly #heard = new Set<string>();
  #isThere = true;
  #asking: Promise<ReadonlySet<string> | undefined> | undefined;
  #answer: () => void = () => {};

  constructor() {
    this.#child = spawn('sh', ['-c', script], { stdio: ['pipe', 'pipe', 'ignore'] });
    this.ready = new Promise((settle) => {
      const onGone = () => {
        this.#isThere = false;
        this.#answer();
        settle();
      };
      this.#child.on('error', onGone).on('exit', onGone);
      createInterface({ input: this.#child.stdout! }).on('line', (line) => {
        if (line === 'ready') settle();
        else if (line === 'asked') this.#answer();
        else this.#heard.add(line);
      });
    });
  }

  /** Whether our group has heard `signal`; true as well when the witness is no more. */
  async hasHeard(signal: NodeJS.Signals): Promise<boolean> {
    this.#asking ??= this.#ask();
    return (await this.#asking)?.has(signal) ?? true;
  }

  close(): void {
    this.#child.kill('SIGKILL');
    this.#child.stdin!.destroy();
  }

  /** What it has heard since it was asked before; undefined when it cannot say. */
  #ask(): Promise<ReadonlySet<string> | undefined> {
    return new Promise((settle) => {
      this.#answer = () => {
        this.#asking = undefined;
        settle(this.#isThere ? new Set(this.#heard) : undefined);
        this.#heard.clear();
      };
      if (!this.#isThere || !this.#child.kill('SIGUSR1')) this.#answer();
    });
  }
}
