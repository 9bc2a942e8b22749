#!/usr/bin/env node
/**
 * `tracecar`: finds the command, answers --help and --version, and gives the rest to its program.
 *
 * It is the only caller of process.exit: a program gives back its status. 0 is well, 1 found what it
 * was asked to look for, 2 could not start (one line on stderr says why and what to do next).
 */

import { UsageError } from '../main/flags.ts';
import { StartError } from '../main/listen-problem.ts';
import { judgeNodeVersion } from '../main/node-version.ts';
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
    process.stderr.write(`${unknownCommand(commands, name)}\n`);
    return 2;
  }
  if (asksForHelp(rest)) return printHelp(commands, command.name);
  try {
    return await command.run(rest);
  } catch (error) {
    const hint = ` (see \`tracecar ${command.name} --help\`)`;
    // By name: a program's bundle has a class of its own, which is no instance of ours.
    const { name: kind, message } = error as Error;
    if (kind === UsageError.name) return complain(command.name, message + hint);
    if (kind === StartError.name) return complain(command.name, message);
    throw error;
  }
}

function complain(name: string, message: string): number {
  process.stderr.write(`tracecar ${name}: ${message}\n`);
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
    process.stderr.write(`tracecar: unexpected failure, a bug: ${text}\n`);
    process.exit(1);
  },
);
