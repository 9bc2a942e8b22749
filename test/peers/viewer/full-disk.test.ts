/**
 * `--store FILE` on a disk that is really full: a tmpfs of 4 MiB in a mount namespace of its own.
 *
 * Needs root and util-linux; skipped with the reason where they are missing.
 */

import assert from 'node:assert/strict';
import { spawn, spawnSync } from 'node:child_process';
import { once } from 'node:events';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join, resolve } from 'node:path';
import { suite, type TestContext, test } from 'node:test';
import type { StatusAnswer } from '../../../src/viewer/view-answers.ts';
import { demoTrace, exportBody, sendSpans } from '../../viewer/span-fixtures.ts';

const program = resolve(import.meta.dirname, '../../../src/cli/tracecar.ts');
const startMs = 1_795_627_913_000;

function whyNot(): string | false {
  if (process.getuid?.() !== 0) return 'needs root, to mount a small disk';
  if (spawnSync('unshare', ['-m', 'true']).status !== 0) return 'unshare -m does not work here';
  return false;
}

const skip = whyNot();
if (skip !== false) process.stdout.write(`SKIPPED: ${import.meta.filename}: ${skip}\n`);

/** Mounts the disk, puts a ballast of 2 MiB on it and starts the viewer there. */
const script = `
mount -t tmpfs -o size=4m tmpfs "$1" &&
dd if=/dev/zero of="$1/ballast" bs=1k count=2048 status=none &&
shift && exec "$@"`;

async function startViewer(t: TestContext) {
  const folder = mkdtempSync(join(tmpdir(), 'tracecar-disk-'));
  const at = ['--otlp', '127.0.0.1:0', '--query', '127.0.0.1:0'];
  const store = ['--store', join(folder, 'traces.db')];
  const command = [process.execPath, program, 'view', ...at, ...store];
  const child = spawn('unshare', ['-m', 'sh', '-c', script, 'sh', folder, ...command], {
    stdio: ['ignore', 'pipe', 'inherit'],
  });
  t.after(async () => {
    child.kill('SIGKILL');
    if (child.exitCode === null && child.signalCode === null) await once(child, 'close');
    rmSync(folder, { recursive: true, force: true });
  });
  let text = '';
  while (text.split('\n').length < 3) text += (await once(child.stdout, 'data'))[0];
  const otlp = /spans come in at (http:\/\/[\d.:]+)\/v1/.exec(text)?.[1];
  const query = /traces are shown at (http:\/\/[\d.:]+)\//.exec(text)?.[1];
  assert.ok(otlp !== undefined && query !== undefined, text);
  return { child, otlp, query, ballast: join(folder, 'ballast') };
}

suite('a full disk below the store', { skip }, () => {
  test('spans are refused with the reason, reading goes on, and room is used', async (t) => {
    const { child, otlp, query, ballast } = await startViewer(t);
    let next = 1;
    /** Sends a trace; gives what was refused of it, '' when nothing was. */
    const send = async (): Promise<string> => {
      const id = (next++).toString(16).padStart(32, '0');
      const response = await sendSpans(otlp, exportBody(demoTrace(id, startMs)));
      if (response.status === 200) {
        assert.deepEqual(await response.json(), { partialSuccess: {} });
        return '';
      }
      // The sender keeps them and comes again.
      assert.equal(response.status, 503);
      assert.equal(response.headers.get('retry-after'), '1');
      return ((await response.json()) as { message: string }).message;
    };
    const status = async (): Promise<StatusAnswer> =>
      (await (await fetch(`${query}/api/view/status`)).json()) as StatusAnswer;
    let refusal = '';
    for (let tries = 0; tries < 5_000 && refusal === ''; tries++) refusal = await send();
    assert.match(refusal, /the disk is full|the disk cannot be written/);
    const stored = next - 2;
    assert.ok(stored > 100);
    for (let tries = 0; tries < 20; tries++) await send();
    const full = await status();
    assert.notEqual(full.store.problem, '');
    // A request that is smaller may have found room in between.
    const { traces, spans } = full.store;
    assert.ok(traces >= stored && traces < stored + 20);
    assert.equal(spans, 5 * traces);
    const first = await fetch(`${query}/api/v3/traces/1`);
    assert.equal((await first.text()).split('"spanId"').length, 6);
    const found = await fetch(`${query}/api/view/search?tags=tracecar.subset%3Dv1&limit=1000`);
    assert.equal(((await found.json()) as { traces: unknown[] }).traces.length, traces);

    const remove = ['-t', String(child.pid), '-m', 'rm', ballast];
    assert.equal(spawnSync('nsenter', remove).status, 0);
    assert.equal(await send(), '');
    const roomy = await status();
    assert.deepEqual([roomy.store.problem, roomy.store.traces], ['', traces + 1]);
  });
});
