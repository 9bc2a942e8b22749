/**
 * Free ports: a program that is told one can listen on it, whatever else is opened meanwhile.
 */

import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { once } from 'node:events';
import { readFileSync } from 'node:fs';
import { createServer } from 'node:net';
import { join } from 'node:path';
import { test } from 'node:test';
import { freePorts } from '../../bench/stage/free-ports.ts';

test('they differ, and lie where the kernel gives none by itself', async (t) => {
  const [lowest] = readFileSync('/proc/sys/net/ipv4/ip_local_port_range', 'utf8').split(/\s+/);
  if (Number(lowest) < 32_000) {
    t.skip(`the kernel of this machine gives ports from ${lowest} on: it may take one of ours`);
    return;
  }
  const ports = [...(await freePorts(50)), ...(await freePorts(50))];
  assert.equal(new Set(ports).size, 100);
  assert.deepEqual(
    ports.filter((port) => port >= Number(lowest)),
    [],
  );
});

test('one that has a listener is passed over', async (t) => {
  const [before] = (await freePorts(1)) as [number];
  const taken = createServer().listen(before + 1, '127.0.0.1');
  t.after(() => taken.close());
  // Where it cannot listen, somebody else does.
  await Promise.race([once(taken, 'listening'), once(taken, 'error')]);
  assert.notEqual((await freePorts(1))[0], before + 1);
});

test('processes that start one after the other begin at different places', () => {
  const path = join(import.meta.dirname, '../../bench/stage/free-ports.ts');
  const program = `import(${JSON.stringify(path)}).then(async ({ freePorts }) =>
    console.log(JSON.stringify(await freePorts(20))))`;
  const answers = [1, 2].map(
    () =>
      JSON.parse(execFileSync(process.execPath, ['-e', program], { encoding: 'utf8' })) as number[],
  );
  assert.equal(new Set(answers.flat()).size, 40);
});
