import assert from 'node:assert/strict';
import { test } from 'node:test';
import { TurnOutput } from '../../../injector/webhook-log.ts';

test('lines of one turn are one write, in order, and none is held when the process ends', async () => {
  const writes: string[] = [];
  const output = new TurnOutput({ write: (text) => void writes.push(text) });
  output.write('one\n');
  output.write('two\n');
  assert.deepEqual(writes, []);
  await new Promise<void>((resolve) => setImmediate(resolve));
  assert.deepEqual(writes, ['one\ntwo\n']);
  output.write('last\n');
  output.flush();
  assert.deepEqual(writes, ['one\ntwo\n', 'last\n']);
  await new Promise<void>((resolve) => setImmediate(resolve));
  assert.equal(writes.length, 2);
});
