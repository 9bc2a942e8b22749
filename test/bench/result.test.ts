/**
 * Result files: what is written is read again, holes are seen, an interrupted run is taken up.
 */

import assert from 'node:assert/strict';
import { mkdtempSync, readdirSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, test } from 'node:test';
import { readAny, readResult, takeUp, writeResult } from '../../bench/result/result.ts';
import { makeResult } from './result-case.ts';

const folder = mkdtempSync(join(tmpdir(), 'bench-result-'));
after(() => rmSync(folder, { recursive: true }));

test('what is written is read again, and nothing else is left in the folder', () => {
  const path = join(folder, 'deep/result.json');
  writeResult(path, makeResult());
  assert.deepEqual(readResult(path), makeResult());
  assert.deepEqual(readdirSync(join(folder, 'deep')), ['result.json']);
});

test('a stranger is refused by name', () => {
  const stranger = join(folder, 'stranger.json');
  writeFileSync(stranger, '{"schema": "something else"}');
  assert.throws(() => readResult(stranger), /stranger\.json: not a result of this bench/);
  writeFileSync(stranger, 'null');
  assert.throws(() => readResult(stranger), /stranger\.json: not a result of this bench/);
  writeFileSync(stranger, '{');
  assert.throws(() => readResult(stranger), /stranger\.json: not whole, or no JSON/);
  assert.throws(() => takeUp(stranger, makeResult()), /stranger\.json: not whole, or no JSON/);
  assert.throws(() => readResult(folder), /: a folder, not a file$/);
  assert.throws(() => readResult(join(folder, 'gone.json')), /: there is no such file$/);
});

test('a result that lacks a part is refused, and the part is named', () => {
  const path = join(folder, 'lacking.json');
  const whole = makeResult();
  const lacking = [
    [{ ...whole, rows: undefined }, /no rows/],
    [{ ...whole, commit: 7 }, /no commit/],
    [{ ...whole, machine: {} }, /no machine/],
    [{ ...whole, rows: [{ round: 0, values: {} }] }, /a row is broken/],
    [{ ...whole, rows: [null] }, /a row is broken/],
  ] as const;
  for (const [result, reason] of lacking) {
    writeFileSync(path, JSON.stringify(result));
    assert.throws(() => readAny(path), reason);
  }
});

test('an interrupted run is taken up after its last whole round', () => {
  const path = join(folder, 'interrupted.json');
  const whole = makeResult();
  const last = whole.rows.length - 1;
  writeResult(path, { ...whole, rows: whole.rows.slice(0, last) });
  assert.throws(() => readResult(path), /rows are missing: round 3, http-proxy, many/);
  assert.equal(readAny(path).rows.length, last);
  const found = takeUp(path, whole);
  assert.ok(found.kind === 'same run');
  assert.deepEqual(
    found.result.rows,
    whole.rows.filter((row) => row.round < 2),
  );
});

test('rounds of another commit, pace or set of cells are not taken up', () => {
  const path = join(folder, 'other.json');
  const whole = makeResult();
  writeResult(path, whole);
  const same = takeUp(path, whole);
  assert.ok(same.kind === 'same run' && same.result.rows.length === whole.rows.length);
  const others = [
    { commit: 'def5678' },
    { seconds: 2 },
    { rounds: 5 },
    { scale: 'full' },
    { keptAwake: false },
    { cells: whole.cells.slice(1) },
    { backend: 'nginx 1.26' },
    { pinning: { proxy: 2, load: 3 } },
    { machine: { ...whole.machine, node: '26.11.0' } },
    { arms: whole.arms.map((arm) => ({ ...arm, version: '2' })) },
    { arms: whole.arms.map((arm) => ({ ...arm, program: 'src/cli/tracecar.ts' })) },
    { arms: whole.arms.map((arm) => ({ ...arm, build: 'abc' })) },
  ] as const;
  for (const other of others) {
    const found = takeUp(path, { ...whole, ...other });
    assert.deepEqual(found, { kind: 'other run', differing: Object.keys(other) });
  }
  const later = { ...whole.machine, idleBusy: 0.02, loadAverage: 1 };
  assert.equal(takeUp(path, { ...whole, machine: later }).kind, 'same run', 'a calmer moment');
  assert.deepEqual(takeUp(join(folder, 'none.json'), whole), { kind: 'nothing' });
});
