/**
 * Runs a command of this machine to its end and gives back what it said.
 *
 * Never through a shell. A command that is not there is an error that names it; one that fails is a
 * status, or with `runOrThrow` an Error that holds its last lines.
 */

import { spawn } from 'node:child_process';

/** What a command that has ended left. */
export interface Ended {
  /** -1 when it was ended by a signal, a timeout included. */
  readonly status: number;
  readonly stdout: string;
  readonly stderr: string;
}

export interface RunOptions {
  readonly stdin?: string;
  /** Default 30_000; the command is killed then and the status is -1. */
  readonly timeoutMs?: number;
  /** Added to the environment. */
  readonly env?: Readonly<Record<string, string>>;
  readonly cwd?: string;
}

export function run(command: readonly string[], options: RunOptions = {}): Promise<Ended> {
  const [program, ...args] = command as [string, ...string[]];
  return new Promise((done, failed) => {
    const child = spawn(program, args, {
      env: { ...process.env, ...options.env },
      ...(options.cwd === undefined ? {} : { cwd: options.cwd }),
      timeout: options.timeoutMs ?? 30_000,
      killSignal: 'SIGKILL',
    });
    const stdout: Buffer[] = [];
    const stderr: Buffer[] = [];
    child.stdout.on('data', (chunk: Buffer) => stdout.push(chunk));
    child.stderr.on('data', (chunk: Buffer) => stderr.push(chunk));
    child.on('error', (error) => failed(new Error(`${program}: ${error.message}`)));
    child.on('close', (status) => {
      done({
        status: status ?? -1,
        stdout: Buffer.concat(stdout).toString(),
        stderr: Buffer.concat(stderr).toString(),
      });
    });
    // A command that does not read its input ends first; that is no error of ours.
    child.stdin.on('error', () => {});
    child.stdin.end(options.stdin ?? '');
  });
}

/** Stdout of a command that must succeed. */
export async function runOrThrow(
  command: readonly string[],
  options: RunOptions = {},
): Promise<string> {
  const ended = await run(command, options);
  if (ended.status === 0) return ended.stdout;
  const said = `${ended.stderr}${ended.stdout}`.trim().split('\n').slice(-15).join('\n');
  throw new Error(`${command.slice(0, 6).join(' ')}: status ${ended.status}\n${said}`);
}
