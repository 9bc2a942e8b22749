/**
 * A program for a pod: takes out what `tracecar init` has loaded, one rule or member at a time, and says
 * as JSON what a check finds then; what it took is loaded again before the next.
 *
 * Arguments: the back-end, then the flags of init. It runs in a pod's network namespace only.
 */

import { backends, checkRules } from '../../../injector/init/apply.ts';
import { type BackendName, backendNames } from '../../../injector/init/backend.ts';
import { parseInitOptions } from '../../../injector/init/options.ts';
import { runProgram } from '../../../injector/init/run-program.ts';

interface Break {
  /** Words that a person must find in what the check says. */
  readonly what: string;
  readonly program: string;
  readonly args: readonly string[];
}

const [name = '', variant = '', ...flags] = process.argv.slice(2);
const backend = backends[name as BackendName];
const { rules } = parseInitOptions(flags, {});

async function listNft(): Promise<Break[]> {
  const { output } = await runProgram('nft', ['-a', '-n', 'list', 'table', 'inet', 'tracecar']);
  const breaks: Break[] = [];
  let place = '';
  for (const line of output.split('\n')) {
    place = /^\t(?:chain|set) (\w+) /.exec(line)?.[1] ?? place;
    const elements = /elements = \{ (.*) \}/.exec(line)?.[1]?.split(', ') ?? [];
    for (const element of elements) {
      const args = ['delete', 'element', 'inet', 'tracecar', place, `{ ${element} }`];
      breaks.push({ what: place, program: 'nft', args });
    }
    const rule = /^\t\t(.* # handle (\d+))$/.exec(line);
    if (rule === null) continue;
    const args = ['delete', 'rule', 'inet', 'tracecar', place, 'handle', rule[2]!];
    breaks.push({ what: `the chain ${place} lacks its rule`, program: 'nft', args });
  }
  return breaks;
}

async function listIptables(): Promise<Break[]> {
  const breaks: Break[] = [];
  for (const program of [`iptables-${variant}`, `ip6tables-${variant}`]) {
    const { output } = await runProgram(program, ['-t', 'nat', '-S']);
    const numbers = new Map<string, number>();
    for (const [, chain = '', rule] of output.matchAll(/^-A (\S+) (.*)$/gm)) {
      const number = (numbers.get(chain) ?? 0) + 1;
      numbers.set(chain, number);
      if (!/^(TRACECAR_\w+|PREROUTING|OUTPUT)$/.test(chain)) continue;
      const what = `the chain ${chain} of ${program.split('-')[0]} lacks its rule: ${rule}`;
      breaks.push({ what, program, args: ['-t', 'nat', '-D', chain, `${number}`] });
    }
  }
  return breaks;
}

if (!(backendNames as readonly string[]).includes(name)) throw new Error(`no back-end ${name}`);
for (const { what, program, args } of name === 'nft' ? await listNft() : await listIptables()) {
  const { status, errors } = await runProgram(program, args);
  if (status !== 0) throw new Error(`${program} ${args.join(' ')}: ${errors}`);
  const said = await checkRules(backend, rules);
  const problem = await backend.apply(rules, runProgram);
  const again = await checkRules(backend, rules);
  process.stdout.write(`${JSON.stringify({ what, said, problem, again })}\n`);
}
