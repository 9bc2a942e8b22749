import assert from 'node:assert/strict';
import {
  chmodSync,
  mkdtempSync,
  readdirSync,
  rmSync,
  statSync,
  utimesSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { type TestContext, test } from 'node:test';
import { changeStored, FolderStore, type StateStore } from '../../src/identity/state-store.ts';

function open(t: TestContext) {
  const root = mkdtempSync(join(tmpdir(), 'tracecar-state-'));
  t.after(() => rmSync(root, { recursive: true }));
  const folder = join(root, 'deep', 'state');
  return { folder, store: new FolderStore(folder, Date.now) };
}

test('a text is read back as it was written, by its owner alone', async (t) => {
  const { folder, store } = open(t);
  assert.equal(await store.read('authority'), undefined);
  assert.equal(await store.write('authority', 'one', undefined), true);
  assert.equal((await store.read('authority'))?.text, 'one');
  assert.equal(await store.read('sidecars'), undefined);
  assert.equal(statSync(join(folder, 'authority.json')).mode & 0o777, 0o600);
  assert.deepEqual(readdirSync(folder), ['authority.json']);
});

test('a writer that has read an older text replaces nothing', async (t) => {
  const { store } = open(t);
  await store.write('authority', 'one', undefined);
  const before = (await store.read('authority'))!.version;
  assert.equal(await store.write('authority', 'two', before), true);
  assert.equal(await store.write('authority', 'three', before), false);
  assert.equal(await store.write('authority', 'three', undefined), false);
  assert.equal((await store.read('authority'))?.text, 'two');
});

test('of many writers at one time nobody’s change is lost', async (t) => {
  const { folder } = open(t);
  const writers = Array.from({ length: 8 }, () => new FolderStore(folder, Date.now));
  const add = (store: StateStore, word: string) =>
    changeStored(store, 'sidecars', (text) => `${text ?? ''}${word} `);
  await Promise.all(writers.map((store, index) => add(store, `w${index}`)));
  const words = (await writers[0]!.read('sidecars'))!.text.trim().split(' ');
  assert.deepEqual(words.sort(), ['w0', 'w1', 'w2', 'w3', 'w4', 'w5', 'w6', 'w7']);
});

test('a lock that an ended process left is broken after ten seconds', async (t) => {
  const { folder, store } = open(t);
  await store.write('authority', 'one', undefined);
  const { version } = (await store.read('authority'))!;
  const lock = join(folder, 'authority.json.lock');
  writeFileSync(lock, '');
  assert.equal(await store.write('authority', 'two', version), false);
  const old = Date.now() / 1_000 - 11;
  utimesSync(lock, old, old);
  assert.equal(await store.write('authority', 'two', version), false);
  assert.equal(await store.write('authority', 'two', version), true);
});

test('a change to nothing, or to the same, writes nothing', async (t) => {
  const { folder, store } = open(t);
  assert.equal(await changeStored(store, 'authority', () => undefined), undefined);
  await store.write('authority', 'one', undefined);
  const { ino } = statSync(join(folder, 'authority.json'));
  assert.equal(await changeStored(store, 'authority', (text) => text), 'one');
  assert.equal(statSync(join(folder, 'authority.json')).ino, ino);
});

test('keys that others may read are not used: somebody may have them already', async (t) => {
  const { folder, store } = open(t);
  await store.write('authority', 'one', undefined);
  await store.write('sidecars', 'two', undefined);
  for (const mode of [0o640, 0o604]) {
    for (const name of ['authority', 'sidecars']) chmodSync(join(folder, `${name}.json`), mode);
    await assert.rejects(
      store.read('authority'),
      /authority\.json may be read by others .*chmod 600/,
    );
    assert.equal((await store.read('sidecars'))?.text, 'two', 'it holds no key');
  }
});
