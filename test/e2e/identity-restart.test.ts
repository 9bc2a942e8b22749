/**
 * Sidecars that start again, with whole programs: a rotation of roots waits for none that is gone, and
 * for each that lives.
 */

import assert from 'node:assert/strict';
import { rmSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';
import { AuthorityProcess, copyMesh, identityUntil, startSidecarOf } from './meshed-pair.ts';
import { application, type RunningSidecar, temporaryFolder } from './sidecar-process.ts';

/** As soon as it has kept what it keeps, which is behind its word that it is ready. */
async function kill(sidecar: RunningSidecar): Promise<void> {
  await identityUntil(sidecar, ({ generation }) => generation > 0);
  sidecar.child.kill('SIGKILL');
  await sidecar.ended;
}

/** Names of those that a rotation waits for, once `count` of them have come after `sinceMs`. */
async function counted(authority: AuthorityProcess, count: number, sinceMs: number) {
  const since = () => authority.reports().filter(({ issuedMs }) => issuedMs > sinceMs);
  while (since().length < count) await new Promise((settle) => setTimeout(settle, 50));
  const reports = authority.reports();
  const lastMs = Math.max(...reports.map(({ issuedMs }) => issuedMs));
  return { names: reports.map(({ instance }) => instance), lastMs };
}

test('who starts again after a kill counts once, who lives counts always', {
  timeout: 90_000,
}, async (t) => {
  const port = await application(t, (_request, response) => response.end('ok'));
  const authority = await AuthorityProcess.start(t, 3_600);
  const tokenFile = await authority.token('orders');
  const place = async () => (await copyMesh(t, port)).folder;
  const start = (config: string, folder?: string) =>
    startSidecarOf(t, 'orders', {
      ...{ config, authority, tokenFile },
      ...(folder === undefined ? {} : { folder }),
    });
  const [one, other, keeping, beside] = [
    await place(),
    await place(),
    await place(),
    await place(),
  ];
  const folder = temporaryFolder(t);
  const [first, , kept] = await Promise.all([start(one), start(other), start(keeping, folder)]);
  const before = await counted(authority, 3, 0);
  assert.equal(new Set(before.names).size, 3);

  await Promise.all([kill(first), kill(kept)]);
  // Its certificate is of no use any more, its name is.
  rmSync(join(folder, 'identity.json'));
  const [, again] = await Promise.all([start(one), start(keeping, folder)]);
  const after = await counted(authority, 2, before.lastMs);
  assert.deepEqual(after.names, before.names);
  // The authority writes its list before it answers.
  await identityUntil(again, ({ generation }) => generation > 0);

  rmSync(join(folder, 'identity.json'));
  await start(beside, folder);
  const { names } = await counted(authority, 1, after.lastMs);
  assert.equal(new Set(names).size, 4);
});
