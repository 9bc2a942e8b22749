/**
 * Completion scripts for bash, zsh and fish, made from the command table.
 *
 * They are static: nothing of tracecar runs while a person types. Names come from our own table and
 * hold letters, digits and dashes only, so nothing needs quoting.
 */

import { printable } from '../base/printable.ts';
import type { Flag } from '../main/flags.ts';
import type { Command } from './command-table.ts';

export const shells = ['bash', 'zsh', 'fish'] as const;

/** Prints the script of `shell`; status 2 when there is none for it. */
export function printCompletion(commands: readonly Command[], shell: string | undefined): number {
  const writers = { bash: bashScript, zsh: zshScript, fish: fishScript };
  const write = shells.find((each) => each === shell);
  if (write === undefined) {
    process.stderr.write(
      `tracecar completion: name a shell: ${shells.join(', ')}${shell === undefined ? '' : `; '${printable(shell)}' is none`}\n`,
    );
    return 2;
  }
  process.stdout.write(writers[write](commands));
  return 0;
}

/** Completes the word under the cursor from the command and the word before it. */
export function bashScript(commands: readonly Command[]): string {
  const names = commands.map((command) => command.name).join(' ');
  const cases = commands.map((command) => {
    const words = [...command.flags.map((flag) => `--${flag.name}`), '--help'];
    if (command.operands !== 'files') words.push(...command.operands);
    const files = command.operands === 'files' ? ' files=1' : '';
    return `    ${command.name}) words="${words.join(' ')}"${files} ;;\n`;
  });
  const values = flagsOf(commands).map((flag) => {
    const words = flag.isPath === true ? 'files=1' : `words="${(flag.choices ?? []).join(' ')}"`;
    return `    --${flag.name}) words="" ${words} ;;\n`;
  });
  return `# bash completion of tracecar: source <(tracecar completion bash)
_tracecar() {
  local word=\${COMP_WORDS[COMP_CWORD]} before=\${COMP_WORDS[COMP_CWORD-1]} words="" files=""
  COMPREPLY=()
  if ((COMP_CWORD == 1)); then
    COMPREPLY=($(compgen -W "${names} --help --version" -- "$word"))
    return
  fi
  case \${COMP_WORDS[1]} in
${cases.join('')}  esac
  case $before in
${values.join('')}  esac
  COMPREPLY=($(compgen -W "$words" -- "$word"))
  if [[ -n $files && $word != -* ]]; then COMPREPLY+=($(compgen -f -- "$word")); fi
}
complete -o filenames -F _tracecar tracecar
`;
}

/** One \`_arguments\` call a command. */
export function zshScript(commands: readonly Command[]): string {
  const list = commands.map((command) => `    '${command.name}:${command.summary}'\n`);
  const cases = commands.map((command) => {
    const flags = command.flags.map((flag) => ` \\\n        ${zshFlag(flag)}`);
    return `      ${command.name}) _arguments '--help[explain it]'${flags.join('')}${zshOperands(command)} ;;\n`;
  });
  return `#compdef tracecar
# zsh completion of tracecar: tracecar completion zsh > "\${fpath[1]}/_tracecar"
_tracecar() {
  local -a commands
  commands=(
${list.join('')}  )
  if ((CURRENT == 2)); then
    _describe command commands
  else
    local name=$words[2]
    shift words
    ((CURRENT--))
    case $name in
${cases.join('')}    esac
  fi
}
if [[ $funcstack[1] == _tracecar ]]; then _tracecar "$@"; else compdef _tracecar tracecar; fi
`;
}

function zshFlag(flag: Flag): string {
  const repeat = flag.repeatable === true ? '*' : '';
  // Inside the quotes of the shell, and inside the brackets of _arguments.
  const help = flag.help.replace(/[[\]:]/g, '\\$&').replaceAll("'", "'\\''");
  if (flag.value === '') return `'${repeat}--${flag.name}[${help}]'`;
  const action =
    flag.isPath === true ? '_files' : flag.choices ? `(${flag.choices.join(' ')})` : '';
  return `'${repeat}--${flag.name}[${help}]:value:${action}'`;
}

function zshOperands(command: Command): string {
  if (command.operands === 'files') return ` \\\n        '*:path:_files'`;
  if (command.operands.length === 0) return '';
  return ` \\\n        '1:word:(${command.operands.join(' ')})'`;
}

/** One \`complete\` line a command, flag and operand. */
export function fishScript(commands: readonly Command[]): string {
  const lines = ['# fish completion of tracecar', 'complete -c tracecar -f'];
  for (const command of commands) {
    lines.push(
      `complete -c tracecar -n __fish_use_subcommand -a ${command.name} -d '${quote(command.summary)}'`,
    );
    const when = `-n '__fish_seen_subcommand_from ${command.name}'`;
    for (const flag of command.flags) lines.push(`complete -c tracecar ${when} ${fishFlag(flag)}`);
    if (command.operands === 'files') lines.push(`complete -c tracecar ${when} -F`);
    else if (command.operands.length > 0) {
      lines.push(`complete -c tracecar ${when} -a '${command.operands.join(' ')}'`);
    }
  }
  return `${lines.join('\n')}\n`;
}

function fishFlag(flag: Flag): string {
  const help = `-l ${flag.name} -d '${quote(flag.help)}'`;
  if (flag.value === '') return help;
  if (flag.isPath === true) return `${help} -r -F`;
  return flag.choices === undefined ? `${help} -x` : `${help} -x -a '${flag.choices.join(' ')}'`;
}

function quote(text: string): string {
  return text.replaceAll("'", "\\'");
}

function flagsOf(commands: readonly Command[]): Flag[] {
  const found = new Map<string, Flag>();
  for (const flag of commands.flatMap((command) => command.flags)) {
    if (flag.value !== '') found.set(flag.name, flag);
  }
  return [...found.values()];
}
