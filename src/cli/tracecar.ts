#!/usr/bin/env node
/**
 * `tracecar`: finds the command, answers --help and --version, and gives the rest to its program.
 *
 * A program gives back its status, and the process ends here: 0 is well, 1 found what it was asked to
 * look for, 2 could not start (one line on stderr says why and what to do next). Only one that serves
 * (main/proxy.ts, injector/main.ts) also ends by itself: after a bug, and at once on a second signal.
 */

import { printable } from '../base/printable.ts';
import { judgeNodeVersion } from '../main/node-version.ts';
import { problemKindOf } from '../main/problem-kind.ts';
import { type Command, commands } from './command-table.ts';
import { printHelp, unknownCommand } from './help.ts';

async function runCommandLine(args: readonly string[]): Promise<number> {
  const verdict = judgeNodeVersion(process.versions.node);
  if (verdict.isTooOld) {
    process.stderr.write(`${verdict.sentence}\n`);
    return 2;
  }
  const [name, ...rest] = args;
  if (name === undefined || name === '--help' || name === '-h') {
    return printHelp(commands, undefined);
  }
  const command = name === '--version' || name === '-v' ? byName('version') : byName(name);
  if (command === undefined) {
    process.stderr.write(`${printable(unknownCommand(commands, name))}\n`);
    return 2;
  }
  if (asksForHelp(rest)) return printHelp(commands, command.name);
  try {
    return await command.run(rest);
  } catch (error) {
    const kind = problemKindOf(error);
    if (kind === undefined) throw error;
    const hint = kind === 'usage' ? ` (see \`tracecar ${command.name} --help\`)` : '';
    return complain(command.name, (error as Error).message + hint);
  }
}

function complain(name: string, message: string): number {
  process.stderr.write(`tracecar ${name}: ${printable(message)}\n`);
  return 2;
}

function byName(name: string): Command | undefined {
  return commands.find((command) => command.name === name);
}

/** `--help` anywhere before a bare `--`. */
function asksForHelp(args: readonly string[]): boolean {
  const end = args.indexOf('--');
  const typed = end === -1 ? args : args.slice(0, end);
  return typed.includes('--help') || typed.includes('-h');
}

// A reader that has seen enough (`tracecar help | head -1`) is no fault of ours.
for (const stream of [process.stdout, process.stderr]) stream.on('error', () => {});

runCommandLine(process.argv.slice(2)).then(
  (status) => process.exit(status),
  (error: unknown) => {
    const text = error instanceof Error ? `${error.name}: ${error.message}` : String(error);
    process.stderr.write(`tracecar: unexpected failure, a bug: ${printable(text)}\n`);
    process.exit(1);
  },
);
