/**
 * Runs nft or one of the iptables programs, and says in one line why it failed.
 *
 * A program is started by its name with the rules on its standard input: no shell, no argument made
 * of a user's text, and none of the caller's environment.
 */

import { spawn } from 'node:child_process';
import { accessSync, constants } from 'node:fs';

/** What a program run came to. */
export interface ProgramRun {
  /** -1 when it could not be started. */
  readonly status: number;
  readonly output: string;
  readonly errors: string;
}

export type RunProgram = (
  program: string,
  args: readonly string[],
  input?: string,
) => Promise<ProgramRun>;

/** Where distributions keep these programs; the caller's own PATH says nothing about this. */
const programPath = '/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin';

export const runProgram: RunProgram = (program, args, input = '') =>
  new Promise((resolve) => {
    const env = { PATH: programPath, ...lockFile() };
    const child = spawn(program, args, { stdio: 'pipe', env });
    let [output, errors] = ['', ''];
    child.stdout.setEncoding('utf8').on('data', (text: string) => {
      output += text;
    });
    child.stderr.setEncoding('utf8').on('data', (text: string) => {
      errors += text;
    });
    // A program that ends before it has read everything says why on stderr.
    child.stdin.on('error', () => {});
    child.on('error', ({ code, message }: NodeJS.ErrnoException) => {
      resolve({ status: -1, output: '', errors: code ?? message });
    });
    child.on('close', (status) => resolve({ status: status ?? -1, output, errors }));
    child.stdin.end(input);
  });

/**
 * The lock of the legacy programs is a file in /run. Where that cannot be written, as in a container
 * with a read-only root, nobody else in sight takes it either, and any file that can be locked will do.
 */
function lockFile(): Record<string, string> {
  try {
    accessSync('/run', constants.W_OK);
    return {};
  } catch {
    return { XTABLES_LOCKFILE: '/dev/null' };
  }
}

export function isMissing({ status, errors }: ProgramRun): boolean {
  return status === -1 && errors === 'ENOENT';
}

/** This kernel lacks what the program speaks to. */
export function isUnsupported({ errors }: ProgramRun): boolean {
  return /not supported|Could not process rule: No such file|Protocol wrong type|Table does not exist|No chain\/target\/match|missing kernel module|generation id: Invalid/i.test(
    errors,
  );
}

/** A capability is missing. */
export function isRefused({ status, errors }: ProgramRun): boolean {
  return (
    status !== 0 &&
    /Operation not permitted|Permission denied|must be root|EPERM|EACCES/.test(errors)
  );
}

/** The likely cause of a failed run, for the person who reads the init container's log. */
export function explain(program: string, run: ProgramRun): string {
  const said = run.errors.trim().split('\n', 3).join(' | ');
  const isNft = program === 'nft';
  if (isMissing(run)) {
    const install = isNft ? 'nftables (or try --backend iptables)' : 'iptables';
    return `the program ${program} is missing here; the image of tracecar has it, elsewhere install ${install}`;
  }
  if (isRefused(run)) {
    const capability = /legacy/.test(`${program} ${said}`) ? 'NET_ADMIN and NET_RAW' : 'NET_ADMIN';
    return `the rules need the capability ${capability} as user 0 (a namespace that enforces Pod Security baseline or restricted refuses it); ${program} said: ${said}`;
  }
  if (isUnsupported(run)) {
    const needs = isNft
      ? '5.2 or newer with nf_tables, nft_nat, nft_redir and nf_conntrack (or try --backend iptables)'
      : 'the nat table with the matches multiport and owner and the target REDIRECT';
    return `this kernel cannot hold the rules; it needs ${needs}; ${program} said: ${said}`;
  }
  return `${program} refused the rules with status ${run.status}: ${said}`;
}
