/**
 * Puts the rules of rules.ts into the kernel of this network namespace and reads them back.
 *
 * `nft` is started by its name with the rules on its standard input: no shell, no argument made of a
 * user's text. A problem is one line that says what is missing; nothing is half applied, because nft
 * sends one transaction.
 */

import { spawn } from 'node:child_process';
import { capturePorts, tableName } from './rules.ts';

/** What a program run came to. */
export interface NftRun {
  /** -1 when it could not be started. */
  readonly status: number;
  readonly output: string;
  readonly errors: string;
}

export type RunNft = (args: readonly string[], input: string) => Promise<NftRun>;

/** Applies `rules` and verifies what the kernel holds then. Empty, or one line for a person. */
export async function applyRules(rules: string, runNft: RunNft = startNft): Promise<string> {
  const applied = await runNft(['-f', '-'], rules);
  if (applied.status !== 0) return explain(applied);
  const listed = await runNft(['-j', 'list', 'table', 'inet', tableName], '');
  if (listed.status !== 0) return explain(listed);
  return judgeTable(listed.output);
}

/** Where distributions keep nft; the caller's own PATH says nothing about this. */
const programPath = '/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin';

export const startNft: RunNft = (args, input) =>
  new Promise((resolve) => {
    const child = spawn('nft', args, { stdio: 'pipe', env: { PATH: programPath } });
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

/** The likely cause of a failed run, for the person who reads the init container's log. */
export function explain({ status, errors }: NftRun): string {
  const said = errors.trim().split('\n', 3).join(' | ');
  if (status === -1 && said === 'ENOENT') {
    return 'the program nft is missing here; the image of tracecar has it, elsewhere install nftables';
  }
  if (/Operation not permitted|must be root|EPERM|EACCES/.test(said)) {
    return `writing the rules needs the capability NET_ADMIN as user 0 (a namespace that enforces Pod Security baseline or restricted refuses it); nft said: ${said}`;
  }
  if (/not supported|Could not process rule: No such file|Protocol wrong type/i.test(said)) {
    return `this kernel cannot hold the rules; it needs 5.2 or newer with nf_tables, nft_nat, nft_redir and nf_conntrack; nft said: ${said}`;
  }
  return `nft refused the rules with status ${status}: ${said}`;
}

/** Whether nft's JSON shows both chains hooked in and redirecting to our ports. */
export function judgeTable(json: string): string {
  let items: readonly unknown[];
  try {
    const parsed = JSON.parse(json) as { nftables?: unknown };
    items = Array.isArray(parsed.nftables) ? parsed.nftables : [];
  } catch {
    return 'nft lists the table in no JSON; is this the program of nftables 1.0 or newer?';
  }
  for (const [chain, hook] of [
    ['inbound', 'prerouting'],
    ['outbound', 'output'],
  ] as const) {
    if (!items.some((item) => isChain(item, chain, hook))) {
      return `the table ${tableName} lacks its chain ${chain} after it was written`;
    }
    if (!items.some((item) => redirects(item, chain, capturePorts[chain]))) {
      return `the chain ${chain} does not redirect to ${capturePorts[chain]} after it was written`;
    }
  }
  return '';
}

function isChain(item: unknown, name: string, hook: string): boolean {
  const { chain } = (item ?? {}) as { chain?: { name?: string; hook?: string; type?: string } };
  return chain?.name === name && chain.hook === hook && chain.type === 'nat';
}

function redirects(item: unknown, chain: string, port: number): boolean {
  const { rule } = (item ?? {}) as { rule?: { chain?: string; expr?: readonly unknown[] } };
  if (rule?.chain !== chain || !Array.isArray(rule.expr)) return false;
  return rule.expr.some(
    (each) => (each as { redirect?: { port?: number } }).redirect?.port === port,
  );
}
