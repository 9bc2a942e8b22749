/**
 * Applying the rules without a kernel: what each failure of nft is explained as.
 */

import assert from 'node:assert/strict';
import { mkdtempSync, readdirSync, readFileSync, rmSync, statSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join, resolve } from 'node:path';
import { test } from 'node:test';
import { applyRules, type NftRun } from '../../../injector/init/apply.ts';
import { runInit } from '../../../injector/init/main.ts';
import { installPreload } from '../../../injector/init/preload-copy.ts';

const failing = (run: Partial<NftRun>) => async () => ({
  status: 1,
  output: '',
  errors: '',
  ...run,
});

/** nft's own listing, cut to what matters. */
const listing = (inboundPort: number, outboundPort: number) =>
  JSON.stringify({
    nftables: [
      { metainfo: { version: '1.0.6' } },
      { chain: { name: 'inbound', type: 'nat', hook: 'prerouting' } },
      { chain: { name: 'outbound', type: 'nat', hook: 'output' } },
      { rule: { chain: 'inbound', expr: [{ match: {} }, { redirect: { port: inboundPort } }] } },
      { rule: { chain: 'outbound', expr: [{ match: {} }, { redirect: { port: outboundPort } }] } },
    ],
  });

function nftThatLists(output: string) {
  const inputs: string[] = [];
  const run = async (args: readonly string[], input: string) => {
    if (args[0] === '-f') inputs.push(input);
    return { status: 0, output: args[0] === '-f' ? '' : output, errors: '' };
  };
  return { run, inputs };
}

test('rules that the kernel shows again are applied', async () => {
  const { run, inputs } = nftThatLists(listing(15_006, 15_001));
  assert.equal(await applyRules('RULES', run), '');
  assert.deepEqual(inputs, ['RULES']);
});

test('a table that is not what was written is a problem', async () => {
  const outcomes = [
    [listing(15_006, 1), /outbound does not redirect to 15001/],
    [listing(1, 15_001), /inbound does not redirect to 15006/],
    ['{"nftables":[]}', /lacks its chain inbound/],
    ['', /no JSON/],
    ['{}', /lacks its chain/],
  ] as const;
  for (const [output, expected] of outcomes) {
    assert.match(await applyRules('RULES', nftThatLists(output).run), expected);
  }
});

test('a missing nft is named', async () => {
  const problem = await applyRules('RULES', failing({ status: -1, errors: 'ENOENT' }));
  assert.match(problem, /^the program nft is missing/);
});

test('a missing capability is named with its likely cause', async () => {
  const errors =
    'Operation not permitted (you must be root)\nnetlink: Error: cache initialization failed\n';
  assert.match(await applyRules('RULES', failing({ errors })), /NET_ADMIN.*Pod Security/);
});

test('an old kernel is named with the version that it takes', async () => {
  const errors = '/dev/stdin:3:1-2: Error: Could not process rule: Operation not supported\n';
  assert.match(await applyRules('RULES', failing({ errors })), /5\.2 or newer/);
});

test('anything else shows what nft said, in one line', async () => {
  const problem = await applyRules('RULES', failing({ status: 3, errors: 'Error: syntax\n^^^\n' }));
  assert.equal(problem, 'nft refused the rules with status 3: Error: syntax | ^^^');
});

test('--print writes the rules and changes nothing', async (t) => {
  let printed = '';
  t.mock.method(process.stdout, 'write', (text: string) => {
    printed += text;
    return true;
  });
  const status = await runInit(['--print', '--skip-inbound-ports=22']);
  t.mock.restoreAll();
  assert.equal(status, 0);
  assert.match(printed, /^table inet tracecar\n/);
  assert.match(printed, /15090, 22 /);
});

test('the preload is installed whole, readable by everybody, and again', (t) => {
  const folder = mkdtempSync(join(tmpdir(), 'tracecar-init-'));
  t.after(() => rmSync(folder, { recursive: true, force: true }));
  assert.equal(installPreload(folder), '');
  assert.equal(installPreload(folder), '');
  assert.deepEqual(readdirSync(folder), ['tracecar-propagate.cjs']);
  const target = join(folder, 'tracecar-propagate.cjs');
  const source = resolve(import.meta.dirname, '../../../injector/preload/tracecar-propagate.cjs');
  assert.equal(readFileSync(target, 'utf8'), readFileSync(source, 'utf8'));
  assert.equal(statSync(target).mode & 0o777, 0o644);
  assert.match(installPreload(join(folder, 'none')), /could not be copied to .*none: ENOENT/);
});
