/**
 * The name of a sidecar among those of its identity: kept from start to start, and never of two that live.
 */

import assert from 'node:assert/strict';
import { chmodSync, cpSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { type TestContext, test } from 'node:test';
import { claimInstance } from '../../src/main/instance-name.ts';

let starts = 0;

/** A sidecar that starts; tests of other processes have other roles. */
async function start(t: TestContext, { folder = '', role = 'web' } = {}) {
  const own = { folder, role: `${role} ${process.pid}`, fresh: `start-${starts++}` };
  const claim = await claimInstance(own);
  t.after(() => claim.release());
  return claim;
}

function newFolder(t: TestContext): string {
  const folder = mkdtempSync(join(tmpdir(), 'tracecar-instance-'));
  t.after(() => rmSync(folder, { recursive: true, force: true }));
  return folder;
}

test('one that starts again has the name that it had, one beside it has another', async (t) => {
  const first = await start(t);
  const second = await start(t);
  const other = await start(t, { role: 'api' });
  assert.equal(new Set([first.name, second.name, other.name]).size, 3);
  first.release();
  assert.equal((await start(t)).name, first.name);
  assert.notEqual((await start(t)).name, second.name);
});

test('the authority takes each name', async (t) => {
  for (const { name } of [await start(t), await start(t, { folder: newFolder(t) })]) {
    assert.match(name, /^[A-Za-z0-9._:/-]{1,253}$/);
  }
});

test('a name is kept with the identity, and is had by one at a time', async (t) => {
  const folder = newFolder(t);
  const first = await start(t, { folder });
  const beside = await start(t, { folder });
  assert.notEqual(beside.name, first.name);
  first.release();
  const again = await start(t, { folder });
  assert.equal(again.name, first.name);
  const copy = newFolder(t);
  cpSync(folder, copy, { recursive: true });
  assert.notEqual((await start(t, { folder: copy })).name, first.name);
});

test('a name that was kept elsewhere, or that others could have written, is not used', async (t) => {
  const folder = newFolder(t);
  const path = join(folder, 'instance.json');
  const changes: readonly (() => void)[] = [
    // Of an earlier start of the machine, of another machine, of another network namespace.
    () => writeFileSync(path, readFileSync(path, 'utf8').replace(/[\da-f]{12} net/, '0ab net')),
    () => writeFileSync(path, readFileSync(path, 'utf8').replace(/net:\[\d+/, 'net:[1')),
    () => chmodSync(path, 0o622),
    () => writeFileSync(path, '{'),
    () => writeFileSync(path, '{"name": 1}'),
    () => rmSync(path),
  ];
  for (const [index, change] of changes.entries()) {
    const first = await start(t, { folder });
    first.release();
    change();
    const second = await start(t, { folder });
    second.release();
    assert.notEqual(second.name, first.name, `change ${index}`);
    assert.equal((await start(t, { folder })).name, second.name, `after change ${index}`);
    rmSync(path);
  }
});

test('where nothing can be written the name is of this start alone', async (t) => {
  const folder = join(newFolder(t), 'absent');
  const [first, second] = [await start(t, { folder }), await start(t, { folder })];
  assert.notEqual(first.name, second.name);
});
