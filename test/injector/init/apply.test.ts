/**
 * Applying the rules without a kernel: what is asked of which program, and what each failure of one is
 * explained as.
 */

import assert from 'node:assert/strict';
import { mkdtempSync, readdirSync, readFileSync, rmSync, statSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join, resolve } from 'node:path';
import { test } from 'node:test';
import { applyRules, backends, checkRules, removeRules } from '../../../injector/init/apply.ts';
import { runInit } from '../../../injector/init/main.ts';
import { parseInitOptions } from '../../../injector/init/options.ts';
import { installPreload } from '../../../injector/init/preload-copy.ts';
import type { ProgramRun } from '../../../injector/init/run-program.ts';
import { UsageError } from '../../../src/main/flags.ts';

const { rules } = parseInitOptions(
  [
    '--skip-inbound-ports=22,9000-9010',
    '--skip-outbound-ports=3306,5432',
    '--skip-outbound-cidrs=10.0.0.0/8,203.0.113.7,fd00::/8',
  ],
  {},
);
const listing = (name: string) => readFileSync(join(import.meta.dirname, 'listings', name), 'utf8');
const missing: Partial<ProgramRun> = { status: -1, errors: 'ENOENT' };

/** Programs that answer by their command line's beginning; what was asked of them in order. */
function programs(answers: Readonly<Record<string, Partial<ProgramRun>>>) {
  const asked: string[] = [];
  const inputs: string[] = [];
  const run = async (program: string, args: readonly string[], input = '') => {
    const line = [program, ...args].join(' ');
    asked.push(line);
    if (input !== '') inputs.push(input);
    const key = Object.keys(answers).find((each) => line.startsWith(each));
    // Asked only on a machine whose own tables are legacy ones.
    if (key === undefined && /^ip6?tables-legacy-save/.test(line)) {
      return { status: 0, output: '', errors: '' };
    }
    if (key === undefined) throw new Error(`nobody expects ${line}`);
    return { status: 0, output: '', errors: '', ...answers[key] };
  };
  return { run, asked, inputs };
}

const noTable = { status: 1, errors: 'Error: No such file or directory\n' };
const goodNft = {
  'nft -f': {},
  'nft -j list table': { output: listing('nft.json.golden') },
  'nft -j list chains': { output: '{"nftables":[]}' },
};

test('rules that the kernel shows again are applied', async () => {
  const { run, inputs } = programs(goodNft);
  assert.equal(await applyRules(backends.nft, rules, run), '');
  assert.deepEqual(inputs, [backends.nft.print(rules)]);
});

test('a table that is not what was written is a problem', async () => {
  const outcomes = [
    ['{"nftables":[]}', /^after it was written the table tracecar lacks its set skip_in$/],
    ['', /no JSON/],
    ['{}', /lacks its set/],
    [goodNft['nft -j list table'].output.replace('15001', '1'), /outbound lacks its rule/],
  ] as const;
  for (const [output, expected] of outcomes) {
    const { run } = programs({ ...goodNft, 'nft -j list table': { output } });
    assert.match(await applyRules(backends.nft, rules, run), expected);
  }
});

const failing = (run: Partial<ProgramRun>) =>
  applyRules(backends.nft, rules, programs({ nft: { status: 1, ...run } }).run);

test('a missing nft is named, with the other way', async () => {
  assert.match(await failing(missing), /^the program nft is missing.*--backend iptables/);
});

test('a missing capability is named with its likely cause', async () => {
  const errors =
    'Operation not permitted (you must be root)\nnetlink: Error: cache initialization failed\n';
  assert.match(await failing({ errors }), /NET_ADMIN.*Pod Security/);
});

test('an old kernel is named with the version that it takes', async () => {
  const errors = '/dev/stdin:3:1-2: Error: Could not process rule: Operation not supported\n';
  assert.match(await failing({ errors }), /5\.2 or newer.*--backend iptables/);
});

test('anything else shows what nft said, in one line', async () => {
  const problem = await failing({ status: 3, errors: 'Error: syntax\n^^^\n' });
  assert.equal(problem, 'nft refused the rules with status 3: Error: syntax | ^^^');
});

const chainsOfIptables = JSON.stringify({
  nftables: ['ip', 'ip6'].map((family) => ({
    chain: { family, table: 'nat', name: 'TRACECAR_IN' },
  })),
});
const goodIptables = {
  'nft -j list chains': { output: chainsOfIptables },
  'nft list table': noTable,
  'iptables-nft-save': { output: listing('iptables.txt') },
  'ip6tables-nft-save': { output: listing('ip6tables.txt') },
  'iptables-nft-restore': {},
  'ip6tables-nft-restore': {},
};

test('iptables gets one transaction a family, and a table of nft goes away afterwards', async () => {
  const { run, asked, inputs } = programs({
    ...goodIptables,
    'nft list table': {},
    'nft -f': {},
  });
  assert.equal(await applyRules(backends.iptables, rules, run), '');
  assert.match(inputs.slice(0, 2).join(), /^\*nat\n.*192\.0\.2\.1.*\*nat\n.*2001:db8::1/s);
  assert.equal(inputs[2], 'table inet tracecar\ndelete table inet tracecar\n');
  const places = ['iptables-nft-restore', 'ip6tables-nft-restore', 'nft -f'].map((program) =>
    asked.findIndex((line) => line.startsWith(program)),
  );
  assert.deepEqual(
    places,
    [...places].sort((one, other) => one - other),
    asked.join('\n'),
  );
  assert.ok(asked.includes('iptables-nft-restore --noflush -w 5'));
});

test('rules of iptables go away once the table of nft is written', async () => {
  const { run, inputs } = programs({ ...goodIptables, ...goodNft, ...chains(chainsOfIptables) });
  assert.equal(await applyRules(backends.nft, rules, run), '');
  const removal = '-F TRACECAR_IN\n-F TRACECAR_OUT\n-X TRACECAR_IN\n-X TRACECAR_OUT\nCOMMIT\n';
  assert.equal(inputs.length, 3);
  for (const input of inputs.slice(1)) assert.ok(input.endsWith(removal), input);
});

function chains(output: string) {
  return { 'nft -j list chains': { output } };
}

test('a kernel without nf_tables gets the legacy rules', async () => {
  const unsupported = {
    status: 1,
    errors:
      'iptables-nft-save v1.8.9 (nf_tables): Failed to initialize nft: Protocol not supported',
  };
  const { run, asked } = programs({
    ...{ nft: unsupported, 'iptables-nft': unsupported, 'ip6tables-nft': unsupported },
    ...{ 'iptables-legacy': {}, 'ip6tables-legacy': {} },
  });
  // What is written cannot be read back here, because no kernel is behind it.
  assert.match(await applyRules(backends.iptables, rules, run), /TRACECAR_IN.*not loaded$/);
  assert.ok(asked.includes('ip6tables-legacy-restore --noflush -w 5'), asked.join('\n'));
});

test('programs of before 1.8 are called by their only name', async () => {
  const { run, asked } = programs({
    ...{ nft: missing, 'iptables-nft': missing, 'ip6tables-nft': missing },
    ...{ 'iptables-legacy': missing, 'ip6tables-legacy': missing },
    ...{ 'iptables-save': {}, 'ip6tables-save': {}, 'iptables-restore': {} },
    'ip6tables-restore': {},
  });
  assert.match(await applyRules(backends.iptables, rules, run), /not loaded$/);
  assert.ok(asked.includes('ip6tables-restore --noflush -w 5'), asked.join('\n'));
});

test('missing programs of iptables are named by what to install', async () => {
  const { run } = programs({ nft: missing, ip: missing });
  assert.match(
    await applyRules(backends.iptables, rules, run),
    /^the program iptables-save is missing here.*install iptables$/,
  );
});

test('the legacy programs need one capability more, which is said', async () => {
  const errors =
    "iptables-restore v1.8.9 (legacy): can't initialize iptables table `nat': Permission denied (you must be root)";
  const { run } = programs({
    'iptables-nft-save': missing,
    'iptables-legacy': { status: 3, errors },
  });
  assert.match(await applyRules(backends.iptables, rules, run), /NET_ADMIN and NET_RAW/);
});

test('a check that finds nothing says where rules are instead', async () => {
  const { run } = programs({ ...goodIptables, 'nft -j list table': noTable });
  assert.deepEqual(await checkRules(backends.nft, rules, run), [
    'the table tracecar of nft is not loaded',
    'there are rules in the chains TRACECAR_IN and TRACECAR_OUT of iptables-nft and ip6tables-nft (--backend iptables checks them)',
  ]);
});

test('what is not there is removed without a word, programs that are missing included', async () => {
  assert.equal(await removeRules(programs({ nft: missing, ip: missing }).run), '');
  const { run, inputs } = programs({
    ...goodIptables,
    ...chains('{"nftables":[]}'),
  });
  assert.equal(await removeRules(run), '');
  assert.deepEqual(inputs, []);
});

test('a removal that the kernel refuses is a problem', async () => {
  const refused = { status: 4, errors: 'line 2: CHAIN_USER_DEL failed' };
  const { run } = programs({ ...goodIptables, 'ip6tables-nft-restore': refused });
  assert.match(await removeRules(run), /^ip6tables-nft-restore refused.*CHAIN_USER_DEL/);
});

test('what may not be asked is no rule that is missing', async () => {
  const { run } = programs({ nft: { status: 1, errors: 'Operation not permitted' }, ip: missing });
  for (const backend of [backends.nft, backends.iptables]) {
    assert.match((await checkRules(backend, rules, run)).join(), /^the rules need .*NET_ADMIN/);
  }
  const problem = await removeRules(run);
  assert.match(problem, /^the rules need .*NET_ADMIN/);
  assert.equal(problem.split('NET_ADMIN').length, 2, problem);
});

async function printed(t: import('node:test').TestContext, args: readonly string[]) {
  let text = '';
  t.mock.method(process.stdout, 'write', (part: string) => {
    text += part;
    return true;
  });
  const status = await runInit(args);
  t.mock.restoreAll();
  assert.equal(status, 0);
  return text;
}

test('--print writes the rules and changes nothing', async (t) => {
  const text = await printed(t, ['--print', '--skip-inbound-ports=22']);
  assert.match(text, /^table inet tracecar\n/);
  assert.match(text, /15090, 22 /);
});

test('--print --backend iptables writes both families with their programs', async (t) => {
  const text = await printed(t, ['--print', '--backend=iptables']);
  assert.match(text, /^# iptables-restore --noflush -w 5\n\*nat\n/);
  assert.match(text, /COMMIT\n# ip6tables-restore --noflush -w 5\n\*nat\n/);
});

test('--print, --check and --remove exclude each other', async () => {
  for (const flags of [
    ['--print', '--check'],
    ['--check', '--remove'],
    ['--remove', '--print'],
  ]) {
    await assert.rejects(runInit(flags), UsageError);
  }
  await assert.rejects(runInit(['--backend=pf']), /--backend is one of nft, iptables/);
});

test('the preload is installed whole, readable by everybody, and again', (t) => {
  const folder = mkdtempSync(join(tmpdir(), 'tracecar-init-'));
  t.after(() => rmSync(folder, { recursive: true, force: true }));
  assert.equal(installPreload(folder), '');
  assert.equal(installPreload(folder), '');
  const names = ['tracecar-propagate-http2.cjs', 'tracecar-propagate.cjs'];
  assert.deepEqual(readdirSync(folder).sort(), names);
  const sources = resolve(import.meta.dirname, '../../../injector/preload');
  for (const name of names) {
    const target = join(folder, name);
    assert.equal(readFileSync(target, 'utf8'), readFileSync(join(sources, name), 'utf8'));
    assert.equal(statSync(target).mode & 0o777, 0o644);
  }
  assert.match(installPreload(join(folder, 'none')), /could not be copied to .*none: ENOENT/);
});
