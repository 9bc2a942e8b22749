/** The limit of open files, against that of connections. */

import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { test } from 'node:test';
import { fewFiles } from '../../src/main/open-files.ts';

const row = (soft: string) => `Limit   Soft   Hard\nMax open files     ${soft}   1048576   files\n`;

test('fewer files than two for each connection are told, with what would be enough', () => {
  assert.equal(
    fewFiles(10_000, row('1024')),
    'this process may open 1024 files, enough for 512 connections of the 10000 that it would take; raise the limit to 20000 (ulimit -n, LimitNOFILE=)',
  );
});

test('enough files, no limit, and a limit that is not known are nothing to tell', () => {
  for (const limits of [row('20000'), row('unlimited'), '']) {
    assert.equal(fewFiles(10_000, limits), '');
  }
});

const isLinux = process.platform === 'linux';

test('the limit is that of this very process', { skip: isLinux ? false : 'needs Linux' }, () => {
  const file = JSON.stringify(new URL('../../src/main/open-files.ts', import.meta.url).href);
  const program = `import { fewFiles } from ${file}; process.stdout.write(fewFiles(1000));`;
  const shell = 'ulimit -n 300 && exec "$0" --input-type=module --eval "$1"';
  const text = execFileSync('sh', ['-c', shell, process.execPath, program], { encoding: 'utf8' });
  assert.match(text, /^this process may open 300 files, enough for 150 connections of the 1000 /);
});
