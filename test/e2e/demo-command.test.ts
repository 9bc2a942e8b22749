/**
 * `npm run demo` as a person and a script start it.
 */

import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { existsSync, readFileSync, writeFileSync } from 'node:fs';
import { type AddressInfo, createServer } from 'node:net';
import { resolve } from 'node:path';
import { type TestContext, test } from 'node:test';
import { readPlan } from '../../examples/ab-rollout/driver/plan.ts';
import { whyNoPods } from '../support/namespace-pods.ts';
import { copyOnFreePorts } from './demo-copy.ts';

const demo = resolve(import.meta.dirname, '../../examples/ab-rollout/demo.ts');

/** The first test starts everything as users do; the others do without the warm-ups of four sidecars. */
const unwarmed = { ...process.env, TRACECAR_WARM_UP_MS: '0' };

interface DemoRun {
  readonly status: number | null;
  readonly stdout: string;
  readonly stderr: string;
}

/** `onOutput` hears all of stdout so far and may end the demo as Ctrl-C does. */
function runDemo(
  t: TestContext,
  args: readonly string[],
  onOutput: (stdout: string, interrupt: () => void) => void = () => {},
  before: readonly string[] = [],
  env: NodeJS.ProcessEnv = unwarmed,
): Promise<DemoRun> {
  return new Promise((settle, reject) => {
    const [program, ...rest] = [...before, process.execPath, demo, ...args];
    const child = spawn(program!, rest, { env, stdio: ['ignore', 'pipe', 'pipe'] });
    t.after(() => child.kill('SIGTERM'));
    let stdout = '';
    let stderr = '';
    child.stdout.setEncoding('utf8').on('data', (chunk: string) => {
      stdout += chunk;
      onOutput(stdout, () => child.kill('SIGINT'));
    });
    child.stderr.setEncoding('utf8').on('data', (chunk: string) => {
      stderr += chunk;
    });
    child.on('error', reject);
    child.on('close', (status) => settle({ status, stdout, stderr }));
  });
}

/** Whether a port of the plan can be listened on: nothing of the demo is left. */
function isFree(port: number): Promise<boolean> {
  return new Promise((settle) => {
    const probe = createServer();
    probe.once('error', () => settle(false));
    probe.listen(port, '127.0.0.1', () => probe.close(() => settle(true)));
  });
}

test('--once --json prints one object of what arrived, and leaves nothing behind', async (t) => {
  const folder = await copyOnFreePorts();
  t.after(() => folder.remove());
  const args = ['--once', '--json', '--requests', '200', '--config', folder.path];
  const { status, stdout, stderr } = await runDemo(t, args, () => {}, [], process.env);
  assert.equal(status, 0, stderr);
  const { latencyMs, ...figures } = JSON.parse(stdout);
  assert.deepEqual(figures, {
    requests: 200,
    failed: 0,
    split: { v1: 120, v2: 80 },
    traces: { started: 200, complete: 200, wrongParents: 0 },
    mtls: 1,
  });
  assert.deepEqual(Object.keys(latencyMs), ['p50', 'p99']);
  assert.ok(latencyMs.p50 > 0 && latencyMs.p99 >= latencyMs.p50);
  for (const { application, inbound } of readPlan(folder.path).workloads) {
    assert.ok(await isFree(application.port));
    assert.ok(await isFree(inbound.port));
  }
});

test('it shows everything, follows an edit of the weights, and ends by Ctrl-C', async (t) => {
  const folder = await copyOnFreePorts();
  t.after(() => folder.remove());
  const { weightsFile } = readPlan(folder.path);
  const yaml = readFileSync(weightsFile, 'utf8');
  let isEdited = false;
  const { status, stdout, stderr } = await runDemo(
    t,
    ['--requests', '50', '--config', folder.path],
    (text, interrupt) => {
      if (!isEdited && text.includes('Ctrl-C ends everything')) {
        isEdited = true;
        const edited = yaml.replace('weight: 60', 'weight: 1').replace('weight: 40', 'weight: 3');
        writeFileSync(weightsFile, edited);
      }
      if (/reviews v2 +75\.0 % .*requests\)/.test(text)) interrupt();
    },
  );
  assert.equal(status, 0, stderr);
  assert.match(stdout, /50 requests through the sidecar of web: 0 failed/);
  assert.match(stdout, /reviews v1 +60\.0 % +60\.0 %/);
  assert.match(stdout, /traces: 50 of 50 complete/);
  assert.match(stdout, /mutual TLS: 100\.0 % of the hops between sidecars/);
  assert.match(stdout, /authority +127\.0\.0\.1:\d+/);
  assert.match(stdout, /viewer +http:\/\/127\.0\.0\.1:\d+/);
  assert.match(stdout, /└─ ratings GET/);
  assert.ok(stdout.includes(weightsFile));
  assert.match(stdout, /configuration 2 is in force: v1 25\.0 %, v2 75\.0 %/);
  assert.match(stdout, /the next 100 requests, 0 failed/);
  // Answers overtake one another, so a window of them is not quite a window of choices.
  const observed = Number(/reviews v1 +25\.0 % +(\d+\.\d) %/.exec(stdout)?.[1]);
  assert.ok(observed >= 20 && observed <= 30, `${observed} % observed`);
});

test('a port in use is one line that says which and who could hold it, status 2', async (t) => {
  const folder = await copyOnFreePorts();
  t.after(() => folder.remove());
  const { port } = readPlan(folder.path).workloads[2]!.inbound;
  const holder = createServer();
  await new Promise<void>((settle) => holder.listen(port, '127.0.0.1', settle));
  t.after(() => holder.close());
  assert.equal((holder.address() as AddressInfo).port, port);
  const { status, stdout, stderr } = await runDemo(t, [
    '--once',
    '--json',
    '--config',
    folder.path,
  ]);
  assert.equal(status, 2);
  assert.equal(stdout, '');
  assert.match(
    stderr,
    new RegExp(
      `demo: port ${port} of 127\\.0\\.0\\.1, for the sidecar of reviews v2, is in use.*ss -ltnp`,
    ),
  );
});

test('a wrong flag is one line, status 2', async (t) => {
  for (const args of [['--request', '5'], ['--requests', 'many'], ['--json']]) {
    const { status, stderr } = await runDemo(t, args);
    assert.equal(status, 2);
    assert.match(stderr, /^demo: [^\n]+\n$/);
  }
});

const noProc = existsSync('/proc/self/stat') ? false : 'no /proc here: processes cannot be seen';
if (noProc !== false) process.stdout.write(`SKIPPED: ${import.meta.filename}: ${noProc}\n`);

/** Those that it has started and that have not ended, and theirs. */
function descendants(pid: number): number[] {
  const text = readFileSync(`/proc/${pid}/task/${pid}/children`, 'utf8');
  const children = text.split(' ').filter(Boolean).map(Number);
  return [...children, ...children.flatMap(descendants)];
}

/** Dead, be it that its new parent has not heard of it yet. */
function isGone(pid: number): boolean {
  try {
    return /^\d+ \(.*\) [ZX] /s.test(readFileSync(`/proc/${pid}/stat`, 'utf8'));
  } catch {
    return true;
  }
}

/** Resolves when the last of them is dead, or the test is over. */
async function allGone(pids: readonly number[], signal: AbortSignal): Promise<void> {
  while (!signal.aborted && !pids.every(isGone)) {
    await new Promise((settle) => setTimeout(settle, 20));
  }
}

/** Where the demo's authority keeps what it signs with. */
function authorityFolder(pid: number): string {
  const commands = descendants(pid).map((each) => readFileSync(`/proc/${each}/cmdline`, 'utf8'));
  return commands.join('\n').match(/\/[^\0]*tracecar-demo-ca-[^\0/]+/)![0];
}

/** What stands for npm, and for the shell that it starts. */
const asNpm = `const shell = require('node:child_process').spawn('sh', ['-c', process.argv[1]], {
  env: { ...process.env, npm_lifecycle_event: 'demo' }, stdio: 'inherit' });`;

for (const [name, isNpm] of [
  ['a demo that is killed takes everything along', false],
  ['a demo ends when the npm that started it is killed', true],
] as const) {
  test(name, { skip: noProc, timeout: 90_000 }, async (t) => {
    const folder = await copyOnFreePorts();
    t.after(() => folder.remove());
    const own = [process.execPath, demo, '--requests', '20', '--config', folder.path];
    // A shell that has something left to do stays beside its command.
    const whole = own.map((word) => `'${word}'`).join(' ');
    const [program, ...args] = isNpm ? [process.execPath, '-e', asNpm, `${whole}; true`] : own;
    const child = spawn(program!, args, { env: unwarmed, stdio: ['ignore', 'pipe', 'ignore'] });
    t.after(() => child.kill('SIGKILL'));
    // Read on to its end: a demo that cannot write would end of that.
    await new Promise<void>((settle) => {
      let stdout = '';
      child.stdout.setEncoding('utf8').on('data', (chunk: string) => {
        stdout += chunk;
        if (stdout.includes('Ctrl-C ends everything')) settle();
      });
    });
    const pids = descendants(child.pid!);
    assert.ok(pids.length >= 10, `${pids}`);
    t.after(() => {
      for (const pid of pids) if (!isGone(pid)) process.kill(pid, 'SIGKILL');
    });
    const keys = authorityFolder(child.pid!);
    assert.ok(existsSync(keys));
    child.kill('SIGKILL');
    await allGone(pids, t.signal);
    assert.ok(!existsSync(keys), 'no key of an authority is left');
  });
}

/** Its child that runs a script of this name. */
function childOf(pid: number, script: string): number {
  return descendants(pid).find((each) =>
    readFileSync(`/proc/${each}/cmdline`, 'utf8').includes(script),
  )!;
}

test('an application that dies ends the demo, with its name and few words', {
  skip: noProc,
  timeout: 90_000,
}, async (t) => {
  const folder = await copyOnFreePorts();
  t.after(() => folder.remove());
  const args = [demo, '--requests', '20', '--config', folder.path];
  const child = spawn(process.execPath, args, { env: unwarmed, stdio: ['ignore', 'pipe', 'pipe'] });
  t.after(() => child.kill('SIGKILL'));
  let [stdout, stderr, isKilled] = ['', '', false];
  child.stderr.setEncoding('utf8').on('data', (chunk: string) => {
    stderr += chunk;
  });
  child.stdout.setEncoding('utf8').on('data', (chunk: string) => {
    stdout += chunk;
    if (isKilled || !stdout.includes('Ctrl-C ends everything')) return;
    isKilled = true;
    process.kill(childOf(child.pid!, 'ratings.cjs'), 'SIGKILL');
  });
  const [status] = await once(child, 'close');
  assert.equal(status, 2);
  assert.match(stderr, /\ndemo: ratings ended with SIGKILL\n/);
  // Whoever asks while it ends is told once for each way of failing, not for each request.
  const failures = stdout.match(/ {2}a request failed .*/g) ?? [];
  assert.ok(failures.length <= 5, failures.join('\n'));
});

const noPods = whyNoPods();
const skip = noPods ?? false;
if (noPods !== undefined) process.stdout.write(`SKIPPED: ${import.meta.filename}: ${noPods}\n`);

/** A network and names of runs that are nobody else's, so that the machine's own stay as they are. */
const ownMachine = [
  ...['unshare', '--net', '--mount', 'sh', '-c'],
  `mkdir -p /run/tracecar && mount -t tmpfs tmpfs /run/tracecar && mount -t tmpfs tmpfs /run/netns &&
   ip link set lo up && "$@" && { ls /run/tracecar /run/netns; nft list ruleset; } >&2`,
  'sh',
];

test('--transparent is whole without a port or a word of configuration in the programs', {
  skip,
}, async (t) => {
  const args = ['--transparent', '--once', '--json', '--requests', '100'];
  const { status, stdout, stderr } = await runDemo(t, args, () => {}, ownMachine);
  assert.equal(status, 0, stderr);
  const { latencyMs, ...figures } = JSON.parse(stdout);
  assert.deepEqual(figures, {
    requests: 100,
    failed: 0,
    split: { v1: 60, v2: 40 },
    traces: { started: 100, complete: 100, wrongParents: 0 },
    mtls: 1,
  });
  // Nothing of it is left: no run, no network, no rule.
  assert.match(stderr, /waiting for traces\n\/run\/netns:\n\n\/run\/tracecar:\n$/);
});
