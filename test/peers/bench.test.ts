/**
 * The benchmark against the real rivals: one short round. Figures are not judged here, only that every
 * arm is there, answers rightly and is measured.
 */

import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join, resolve } from 'node:path';
import { test } from 'node:test';
import { findPeer, installCommand } from '../../tools/peers.ts';

const root = resolve(import.meta.dirname, '../..');
const rivals = ['envoy', 'haproxy', 'nginx'];

interface Row {
  readonly arm: string;
  readonly point: string;
  readonly values: { readonly errors?: number; readonly requests?: number };
}

for (const rival of rivals) {
  test(`${rival} is installed and says its version`, () => {
    const found = findPeer(rival);
    assert.ok(found, `${rival} is missing: ${installCommand([rival])}`);
    assert.match(found.version, /^\d+\.\d+/);
  });
}

test('one round of the bench measures every arm and sees no wrong answer', async () => {
  const folder = mkdtempSync(join(tmpdir(), 'tracecar-bench-test-'));
  const file = join(folder, 'result.json');
  try {
    const short = ['--rounds', '1', '--seconds', '0.2', '--tolerate-noise', '--json', file];
    const child = spawn(process.execPath, ['bench/bench.ts', ...short], { cwd: root });
    let output = '';
    child.stdout.on('data', (chunk: Buffer) => {
      output += chunk;
    });
    child.stderr.on('data', (chunk: Buffer) => {
      output += chunk;
    });
    const [status] = await once(child, 'close');
    assert.equal(status, 0, output);
    assert.match(output, /^cpu_us_per_request /m);
    assert.match(output, /^added_p50_us /m);
    const { rows } = JSON.parse(readFileSync(file, 'utf8')) as { rows: readonly Row[] };
    for (const arm of ['direct', 'tracecar', 'http-proxy', 'floor', ...rivals]) {
      const measured = rows.filter((row) => row.arm === arm && (row.values.requests ?? 0) > 0);
      assert.ok(measured.length > 0, `${arm} was not measured\n${output}`);
      for (const row of measured)
        assert.equal(row.values.errors, 0, `${arm} ${row.point}\n${output}`);
    }
  } finally {
    rmSync(folder, { recursive: true });
  }
});
