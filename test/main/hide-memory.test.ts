/**
 * A process with keys leaves no core dump, whatever its limits say.
 */

import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { join } from 'node:path';
import { test } from 'node:test';
import { skipWithout } from '../support/skip-without.ts';

const hasCall = process.platform === 'linux' && process.getBuiltinModule('node:ffi') !== undefined;
const skip = skipWithout(
  import.meta.filename,
  hasCall ? undefined : 'it needs Linux and a Node.js with node:ffi',
);

/** What the kernel says of a child that ran `program`: 1 is a process that may be dumped. */
async function dumpableAfter(program: string): Promise<string> {
  const asked = `
    const { functions } = process.getBuiltinModule('node:ffi').dlopen(null, { prctl: {
      return: 'int32', arguments: ['int32', 'uint64', 'uint64', 'uint64', 'uint64'] } });
    process.stdout.write(String(functions.prctl(3, 0n, 0n, 0n, 0n)));`;
  const child = spawn(process.execPath, ['--input-type=module', '-e', program + asked], {
    stdio: ['ignore', 'pipe', 'ignore'],
  });
  let said = '';
  child.stdout.on('data', (chunk) => {
    said += chunk;
  });
  await once(child, 'close');
  return said;
}

test('a process that hid its memory cannot be dumped', { skip }, async () => {
  const module = JSON.stringify(join(import.meta.dirname, '../../src/main/hide-memory.ts'));
  assert.equal(await dumpableAfter(''), '1');
  assert.equal(
    await dumpableAfter(`const { hideMemory } = await import(${module}); hideMemory();`),
    '0',
  );
});
