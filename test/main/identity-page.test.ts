import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { join, resolve } from 'node:path';
import { test } from 'node:test';
import { authorityLimits } from '../../src/model/authority-limits.ts';

const root = resolve(import.meta.dirname, '../..');
const page = readFileSync(join(root, 'docs/identity.md'), 'utf8');

test('docs/identity.md has every cause of a refusal, with its status, and no other', () => {
  const sources = ['identity/authority', 'identity/file-token', 'identity/token-file']
    .concat('main/ca-server', 'main/ca-token-review')
    .map((name) => readFileSync(join(root, `src/${name}.ts`), 'utf8'));
  const patterns = [
    /status: (\d{3}), cause: '([a-z-]+)'/g,
    /(?:refusal|#refuse)\(\s*(\d{3}), '([a-z-]+)'/g,
    /(notForPods)\(\s*'([a-z-]+)'/g,
    /(unsure)\(\s*'([a-z-]+)'/g,
  ];
  const status: Readonly<Record<string, string>> = { notForPods: '403', unsure: '503' };
  const inCode = new Set(
    sources.flatMap((text) =>
      patterns.flatMap((pattern) =>
        [...text.matchAll(pattern)].map(([, code, cause]) => `${cause} ${status[code!] ?? code}`),
      ),
    ),
  );
  const inPage = [...page.matchAll(/^\| `([a-z-]+)` \| ([\d, ]+) \|/gm)].flatMap(
    ([, cause, codes]) => codes!.split(', ').map((code) => `${cause} ${code.trim()}`),
  );
  assert.ok(inCode.size > 25, [...inCode].join());
  assert.deepEqual(inPage.sort(), [...inCode].sort());
});

test('docs/identity.md has the limits that hold', () => {
  const { addressPerMinute, allPerSecond, callerPerMinute, keysMax, refusedPerMinute, tokenHours } =
    authorityLimits;
  const said = page.replaceAll(/\s+/g, ' ');
  for (const sentence of [
    `a pod ${callerPerMinute} requests a minute, a file token ${authorityLimits.tokenPerMinute}`,
    `everybody together ${allPerSecond} a second; on Kubernetes an address ${addressPerMinute} a minute`,
    `and ${refusedPerMinute} whose token is refused`,
    `Bodies of at most ${authorityLimits.requestBytesMax / 1_024} KiB, ${authorityLimits.requestTimeoutMs / 1_000} seconds`,
    `\`--hours\` says how long (${tokenHours}; at most a year)`,
    `had more than ${authorityLimits.connectionsPerAddressMax} open or dialled more than ${authorityLimits.dialsPerSecond} a second`,
    `of the last ${keysMax.toLocaleString('en')}`,
  ]) {
    assert.ok(said.includes(sentence), sentence);
  }
});
