/**
 * The command line as a person types it: real processes, their output and their status.
 *
 * Help and completion are golden files; `UPDATE_GOLDEN=1` writes them anew, for review in the diff.
 */

import assert from 'node:assert/strict';
import { spawn, spawnSync } from 'node:child_process';
import { existsSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join, resolve } from 'node:path';
import { test } from 'node:test';

const entry = resolve(import.meta.dirname, '../../src/cli/tracecar.ts');
const golden = join(import.meta.dirname, 'golden');

interface Outcome {
  readonly status: number | null;
  readonly stdout: string;
  readonly stderr: string;
}

function tracecar(...args: string[]): Promise<Outcome> {
  return new Promise((settle, reject) => {
    const child = spawn(process.execPath, [entry, ...args], { stdio: ['ignore', 'pipe', 'pipe'] });
    let stdout = '';
    let stderr = '';
    child.stdout.setEncoding('utf8').on('data', (chunk: string) => {
      stdout += chunk;
    });
    child.stderr.setEncoding('utf8').on('data', (chunk: string) => {
      stderr += chunk;
    });
    child.on('error', reject);
    child.on('close', (status) => settle({ status, stdout, stderr }));
  });
}

function assertGolden(name: string, text: string): void {
  const path = join(golden, name);
  if (process.env.UPDATE_GOLDEN === '1') writeFileSync(path, text);
  assert.ok(existsSync(path), `${path} is missing; UPDATE_GOLDEN=1 writes it`);
  assert.equal(text, readFileSync(path, 'utf8'), name);
}

test('help goes to stdout with status 0 and shows lines to copy', async () => {
  const cases: readonly (readonly [string, string[]])[] = [
    ['help.txt', ['--help']],
    ['help-proxy.txt', ['proxy', '--help']],
    ['help-run.txt', ['run', '--help']],
    ['help-validate.txt', ['help', 'validate']],
    ['help-view.txt', ['view', '-h']],
    ['help-explain.txt', ['explain', '--help']],
    ['help-check.txt', ['check', '--help']],
    ['help-ca.txt', ['ca', '--help']],
    ['help-completion.txt', ['completion', '--help']],
    ['help-install.txt', ['install', '--help']],
    ['help-uninstall.txt', ['uninstall', '--help']],
    ['help-inject.txt', ['inject', '--help']],
    ['help-uninject.txt', ['help', 'uninject']],
    ['help-injector.txt', ['injector', '--help']],
    ['help-init.txt', ['help', 'init']],
  ];
  for (const [name, args] of cases) {
    const { status, stdout, stderr } = await tracecar(...args);
    assert.equal(status, 0, name);
    assert.equal(stderr, '', name);
    assertGolden(name, stdout);
    assert.ok((stdout.match(/^flags/gm) ?? []).length <= 1, `${name} lists flags twice`);
    const widest = Math.max(...stdout.split('\n').map((line) => line.length));
    assert.ok(widest <= 120, `${name} is ${widest} columns wide`);
  }
});

test('nothing typed is help', async () => {
  assert.equal((await tracecar()).stdout, readFileSync(join(golden, 'help.txt'), 'utf8'));
});

test('the version is that of the package', async () => {
  const manifest = readFileSync(resolve(import.meta.dirname, '../../package.json'), 'utf8');
  const { version } = JSON.parse(manifest);
  for (const typed of ['--version', 'version']) {
    const { status, stdout } = await tracecar(typed);
    assert.equal(status, 0);
    assert.equal(stdout, `tracecar ${version} (Node.js ${process.versions.node})\n`);
  }
});

test('an unknown command is one line with the one that was meant, status 2', async () => {
  const near = await tracecar('vlaidate', 'x');
  assert.equal(near.status, 2);
  assert.equal(near.stdout, '');
  assert.equal(
    near.stderr,
    "tracecar: unknown command 'vlaidate'; did you mean `tracecar validate`? (`tracecar help` lists all)\n",
  );
  const far = await tracecar('teleport');
  assert.equal(far.status, 2);
  assert.equal(far.stderr, "tracecar: unknown command 'teleport' (`tracecar help` lists all)\n");
  assert.equal((await tracecar('help', 'prox')).status, 2);
});

test('an unknown flag is one line with the one that was meant, status 2', async () => {
  for (const command of ['proxy', 'view', 'validate']) {
    const { status, stdout, stderr } = await tracecar(command, '--confgi', 'x');
    assert.equal(status, 2, command);
    assert.equal(stdout, '', command);
    assert.match(
      stderr,
      new RegExp(`^tracecar ${command}: unknown flag --confgi.*--help\`\\)\\n$`),
    );
  }
});

test('validate tells good configuration from bad by its status', async (t) => {
  const example = resolve(import.meta.dirname, '../../examples/ab-rollout');
  const good = await tracecar('validate', example);
  assert.equal(good.status, 0, good.stdout);
  const folder = mkdtempSync(join(tmpdir(), 'tracecar-cli-'));
  t.after(() => rmSync(folder, { recursive: true }));
  const file = join(folder, 'route.yaml');
  const route = readFileSync(join(example, 'reviews-route.yaml'), 'utf8');
  writeFileSync(file, route.replace('weight: 60', 'weight: -60'));
  const bad = await tracecar('validate', file);
  assert.equal(bad.status, 1);
  const line = route.split('\n').findIndex((text) => text.includes('weight: 60')) + 1;
  assert.ok(bad.stdout.includes(`route.yaml:${line}:`), bad.stdout);
  const json = await tracecar('validate', '--output', 'json', file);
  assert.equal(json.status, 1);
  assert.match(JSON.stringify(JSON.parse(json.stdout)), /spec\.http\[0\]\.route\[0\]\.weight/);
  const nothing = await tracecar('validate');
  assert.equal(nothing.status, 2);
  assert.match(nothing.stderr, /^tracecar validate: needs a PATH[^\n]+\n$/);
});

test('what was typed cannot steer the terminal that it is complained on', async () => {
  const hostile = 'a\u001b[31m\rb\nc\u202e\u0085';
  const shown = 'a\\x1b[31m\\x0db\\x0ac\\u202e\\x85';
  const lines = [
    [hostile],
    ['help', hostile],
    ['validate', `--${hostile}`],
    ['validate', `/nowhere/${hostile}`],
    ['proxy', '--config', 'x', '--admin', hostile],
    ['proxy', '--log-level', hostile],
    ['view', '--trace', hostile],
    ['completion', hostile],
    ['inject', '--image', 'x', '-f', hostile],
  ];
  for (const args of lines) {
    const { status, stdout, stderr } = await tracecar(...args);
    const [name = ''] = args;
    assert.equal(status, 2, name);
    assert.equal(stdout, '', name);
    assert.ok(stderr.includes(shown), stderr);
    assert.doesNotMatch(stderr.slice(0, -1), /[\p{Cc}\p{Cf}]/u, name);
  }
});

test('completion scripts come for three shells and for no other', async () => {
  for (const shell of ['bash', 'zsh', 'fish']) {
    const { status, stdout } = await tracecar('completion', shell);
    assert.equal(status, 0);
    assertGolden(`completion.${shell}`, stdout);
  }
  const { status, stderr } = await tracecar('completion', 'powershell');
  assert.equal(status, 2);
  assert.equal(
    stderr,
    "tracecar completion: name a shell: bash, zsh, fish; 'powershell' is none\n",
  );
});

test('bash completes commands, flags and values', async () => {
  const { stdout } = await tracecar('completion', 'bash');
  const complete = (...words: string[]) => {
    const quoted = words.map((word) => `'${word}'`).join(' ');
    const script = `${stdout}\nCOMP_WORDS=(tracecar ${quoted}); COMP_CWORD=${words.length}; _tracecar; echo "\${COMPREPLY[@]}"`;
    const { stdout: reply, stderr } = spawnSync('bash', ['-c', script], { encoding: 'utf8' });
    assert.equal(stderr, '');
    return reply.trim();
  };
  assert.equal(complete('v'), 'validate view version');
  assert.equal(complete('proxy', '--l'), '--labels --log-level');
  assert.equal(complete('proxy', '--log-level', ''), 'debug info warn error');
  assert.equal(complete('completion', 'b'), 'bash');
  assert.equal(complete('validate', `${golden}/help.t`), `${golden}/help.txt`);
});
