/**
 * Which state of the sources a result is of: a run that goes on must be of the same one.
 */

import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, test } from 'node:test';
import { describeCommit } from '../../bench/stage/machine.ts';

const folder = mkdtempSync(join(tmpdir(), 'bench-commit-'));
after(() => rmSync(folder, { recursive: true }));

function git(...args: string[]): string {
  const who = ['-c', 'user.name=a', '-c', 'user.email=a@example.com', '-c', 'commit.gpgsign=false'];
  return execFileSync('git', [...who, ...args], { cwd: folder, encoding: 'utf8' }).trim();
}

test('outside a checkout the commit is unknown', () => {
  assert.equal(describeCommit(folder), 'unknown');
});

test('two states of a checkout differ, and results that a run writes into it do not', () => {
  mkdirSync(join(folder, 'bench/results/published'), { recursive: true });
  mkdirSync(join(folder, 'src'));
  const code = join(folder, 'src/code.ts');
  const result = join(folder, 'bench/results/published/hop.json');
  for (const file of [code, result, join(folder, 'README.md')]) writeFileSync(file, '1');
  git('init', '-q');
  git('add', '.');
  git('commit', '-q', '-m', 'one');
  const commit = git('rev-parse', '--short', 'HEAD');
  assert.equal(describeCommit(folder), commit);
  writeFileSync(result, '2');
  writeFileSync(join(folder, 'README.md'), 'drawn');
  assert.equal(describeCommit(folder), commit, 'a run that is resumed is the same run');
  writeFileSync(code, '2');
  const changed = describeCommit(folder);
  assert.match(changed, new RegExp(`^${commit}\\+[0-9a-f]{6}$`));
  writeFileSync(code, '3');
  assert.notEqual(describeCommit(folder), changed);
  writeFileSync(code, '2');
  assert.equal(describeCommit(folder), changed);
  const added = join(folder, 'src/added é.ts');
  writeFileSync(added, '1');
  const withFile = describeCommit(folder);
  assert.notEqual(withFile, changed, 'a file that git does not know yet is measured too');
  writeFileSync(added, '2');
  assert.notEqual(describeCommit(folder), withFile);
  rmSync(added);
  writeFileSync(join(folder, 'bench/results/published/rates.json'), '1');
  assert.equal(describeCommit(folder), changed, 'a new result is none of it');
});
