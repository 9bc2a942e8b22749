/**
 * Help that teaches: what a command does, its flags with their defaults, and lines to copy.
 *
 * Made from the command table alone, so that it cannot name a flag that does not exist. Goes to
 * stdout with status 0 when it was asked for.
 */

import { printable } from '../base/printable.ts';
import { nearestName } from '../config/syntax/nearest-name.ts';
import { type Flag, variableOf } from '../main/flags.ts';
import type { Command } from './command-table.ts';

/** Prints the help of `name`, or the list of commands; status 2 for a command that is not there. */
export function printHelp(commands: readonly Command[], name: string | undefined): number {
  if (name === undefined) {
    process.stdout.write(overview(commands));
    return 0;
  }
  const command = commands.find((each) => each.name === name);
  if (command === undefined) {
    process.stderr.write(`${printable(unknownCommand(commands, name))}\n`);
    return 2;
  }
  process.stdout.write(commandHelp(command));
  return 0;
}

/** One line that says what was typed, what was probably meant, and where the list is. */
export function unknownCommand(commands: readonly Command[], typed: string): string {
  const close = nearestName(
    typed,
    commands.map((command) => command.name),
  );
  const guess = close === undefined ? '' : `; did you mean \`tracecar ${close}\`?`;
  return `tracecar: unknown command '${typed}'${guess} (\`tracecar help\` lists all)`;
}

/** What `tracecar --help` prints. */
export function overview(commands: readonly Command[]): string {
  const rows = commands.map((command) => `  ${command.name.padEnd(12)}${command.summary}\n`);
  return `The service mesh where the trace is the product: a sidecar that splits traffic by weight and
shows whole traces of unchanged applications.

usage: tracecar COMMAND [FLAGS]

commands:
${rows.join('')}
start here, in a checkout:
  npm run demo                              three services, four sidecars, one whole trace
  tracecar validate examples/ab-rollout     check the configuration of that demo
  tracecar proxy --help                     put a sidecar beside your own service

\`tracecar COMMAND --help\` explains a command.
`;
}

/** What `tracecar COMMAND --help` prints. */
export function commandHelp(command: Command): string {
  let text = `tracecar ${command.name}: ${command.summary}\n\n`;
  text += `usage: tracecar ${`${command.name} ${command.usage}`.trim()}\n\n${command.about}\n`;
  const both = command.flags.filter((flag) => flag.typedOnly !== true);
  const typed = command.flags.filter((flag) => flag.typedOnly === true);
  const flags = [...both, ...typed];
  if (flags.length > 0) {
    text += `\nflags${alsoVariables(both, typed)}:\n${flags.map(flagLine).join('')}`;
  }
  if (command.examples.length > 0) {
    const lines = command.examples.map(({ says, line }) => `  # ${says}\n  ${line}\n`);
    text += `\nexamples:\n${lines.join('')}`;
  }
  return text;
}

/** Which flags the environment may hold: they come first. */
function alsoVariables(both: readonly Flag[], typed: readonly Flag[]): string {
  const first = both[0];
  if (first === undefined) return '';
  const which = typed.length === 0 ? 'each' : `down to --${both.at(-1)!.name} each`;
  return `, ${which} also an environment variable (--${first.name} is ${variableOf(first)})`;
}

function flagLine(flag: Flag): string {
  const typed = `--${flag.name} ${flag.value}`.trimEnd();
  const value = flag.choices !== undefined && !flag.value.includes('|');
  const choices = value ? ` (${flag.choices!.join(', ')})` : '';
  const otherwise = flag.otherwise === '' ? '' : ` [${flag.otherwise}]`;
  return `  ${typed.padEnd(26)}  ${flag.help}${choices}${otherwise}\n`;
}
