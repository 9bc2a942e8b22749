/**
 * The secret of `/drain`: whose it is, and what is left for the hook of a pod from a repository.
 */

import assert from 'node:assert/strict';
import { existsSync, mkdtempSync, readdirSync, readFileSync, rmSync, statSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { type TestContext, test } from 'node:test';
import { seededRandom, systemRandom } from '../../src/base/random.ts';
import { drainSecretOf } from '../../src/main/drain-secret.ts';
import { StartError } from '../../src/main/listen-problem.ts';
import { readProxySettings } from '../../src/main/proxy-settings.ts';

function folderOf(t: TestContext): string {
  const folder = mkdtempSync(join(tmpdir(), 'tracecar-secret-'));
  t.after(() => rmSync(folder, { recursive: true }));
  return folder;
}

const settingsOf = (environment: Record<string, string>) =>
  readProxySettings(['--capture=redirect'], environment);

test('each start makes a secret of its own, which only its user can read', (t) => {
  const folder = folderOf(t);
  const file = join(folder, 'secret');
  const settings = settingsOf({ TRACECAR_DRAIN_SECRET_FILE: file });
  const first = drainSecretOf(settings, systemRandom);
  assert.match(first, /^[0-9a-f]{32}$/);
  assert.equal(readFileSync(file, 'latin1'), first);
  assert.equal(statSync(file).mode & 0o777, 0o600);
  const second = drainSecretOf(settings, systemRandom);
  assert.notEqual(second, first);
  assert.equal(readFileSync(file, 'latin1'), second);
  assert.deepEqual(readdirSync(folder), ['secret']);
});

test('a secret that was given is used, and no file is written', (t) => {
  const file = join(folderOf(t), 'secret');
  const given = { TRACECAR_DRAIN_SECRET: 'given', TRACECAR_DRAIN_SECRET_FILE: file };
  assert.equal(drainSecretOf(settingsOf(given), seededRandom(1)), 'given');
  assert.equal(drainSecretOf(settingsOf({}), seededRandom(1)), '');
  assert.ok(!existsSync(file));
});

test('a file that cannot be written ends the start with its name', (t) => {
  const file = join(folderOf(t), 'missing', 'secret');
  assert.throws(
    () => drainSecretOf(settingsOf({ TRACECAR_DRAIN_SECRET_FILE: file }), seededRandom(1)),
    (error) => error instanceof StartError && error.message.includes(`${file} cannot be written`),
  );
});
