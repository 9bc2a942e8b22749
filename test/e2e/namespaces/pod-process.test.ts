/**
 * What a test hears that waits for words of a process in a pod: the words, or why they do not come.
 */

import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { type TestContext, test } from 'node:test';
import { PodProcess } from '../../support/namespace-pods.ts';

function processOf(t: TestContext, script: string, patienceMs?: number): PodProcess {
  const child = spawn(process.execPath, ['-e', script], { stdio: ['ignore', 'pipe', 'pipe'] });
  t.after(() => child.kill('SIGKILL'));
  return new PodProcess(child, patienceMs);
}

const goesOn = 'setInterval(() => undefined, 1_000)';

test('a line that does not come ends the wait, with what was waited for and the last lines', async (t) => {
  const script = `for (let n = 1; n <= 40; n++) console.log('line', n); ${goesOn}`;
  const said = processOf(t, script, 20);
  while (said.lines.length < 40) {
    await said.until(() => said.lines.length === 40 || undefined, 'all').catch(() => undefined);
  }
  await assert.rejects(said.says(/^never$/), ({ message }: Error) => {
    assert.match(message, /^\/\^never\$\/ did not come within 0\.02 s, but:\n/);
    assert.doesNotMatch(message, /^line 1$/m);
    return true;
  });
});

test('a process that ends is heard to its last line, and then no wait goes on', async (t) => {
  const said = processOf(t, "console.log('first'); console.error('last')");
  assert.equal(await said.says(/^last$/), 'last');
  await assert.rejects(said.says(/^never$/), ({ message }: Error) => {
    assert.match(message, /^it ended without \/\^never\$\/:\n/);
    assert.match(message, /^first$/m);
    return true;
  });
});
