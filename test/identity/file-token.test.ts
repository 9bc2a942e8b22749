import assert from 'node:assert/strict';
import { mkdtempSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { type TestContext, test } from 'node:test';
import { inspect } from 'node:util';
import { Secret } from '../../src/base/secret.ts';
import { FileTokens, makeFileToken } from '../../src/identity/file-token.ts';
import { addToken, TokenFile } from '../../src/identity/token-file.ts';
import { authorityLimits } from '../../src/model/authority-limits.ts';

const endMs = Date.UTC(2027, 0, 31);
const terms = { namespace: 'shop', serviceAccount: 'web', notAfterMs: endMs };

test('a token is its service account until its end, and not a moment longer (I9)', () => {
  const { line, token } = makeFileToken(terms);
  const tokens = new FileTokens(line);
  const caller = tokens.verify(token, endMs - 1);
  assert.ok('who' in caller);
  assert.deepEqual([caller.namespace, caller.serviceAccount], ['shop', 'web']);
  assert.ok(!caller.who.includes(token.reveal()));
  const late = tokens.verify(token, endMs);
  assert.ok('cause' in late);
  assert.deepEqual([late.status, late.cause], [401, 'token-expired']);
});

test('the file holds no token, and two tokens are never alike', () => {
  const made = [makeFileToken(terms), makeFileToken(terms)];
  assert.notEqual(made[0]!.token.reveal(), made[1]!.token.reveal());
  for (const { line, token } of made) {
    assert.ok(!line.includes(token.reveal()));
    assert.ok(token.reveal().length >= 43);
    assert.doesNotMatch(inspect(token), /tct_/);
  }
});

const hash = 'ab'.repeat(32);
const wrong: readonly (readonly [string, RegExp])[] = [
  [`${hash} shop web`, /four words/],
  [`${hash} shop web 2027-01-31T00:00:00Z more`, /four words/],
  [`${hash.toUpperCase()} shop web 2027-01-31T00:00:00Z`, /no SHA-256/],
  [`${hash} shop web soon`, /no time/],
  [`${hash} shop .. 2027-01-31T00:00:00Z`, /in no SPIFFE id/],
  [`${hash} a/b web 2027-01-31T00:00:00Z`, /in no SPIFFE id/],
];

for (const [line, pattern] of wrong) {
  test(`the line "${line.slice(64)}" lets nobody in and is complained about`, () => {
    const { line: good, token } = makeFileToken(terms);
    const tokens = new FileTokens(`# made by hand\n\n${line}\n${good}`);
    assert.equal(tokens.problems.length, 1);
    assert.match(tokens.problems[0]!, /^line 3: /);
    assert.match(tokens.problems[0]!, pattern);
    assert.ok('who' in tokens.verify(token, 0));
  });
}

function open(t: TestContext) {
  const folder = mkdtempSync(join(tmpdir(), 'tracecar-tokens-'));
  t.after(() => rmSync(folder, { recursive: true }));
  const path = join(folder, 'state', 'tokens');
  const troubles: string[] = [];
  const file = new TokenFile({
    path,
    wallTime: () => endMs - 1,
    onTrouble: (message) => troubles.push(message),
  });
  return { file, path, troubles };
}

test('the file is read again when it changes, and may not be there yet', async (t) => {
  const { file, path } = open(t);
  const stranger = await file.verify(new Secret('x'));
  assert.ok('cause' in stranger);
  assert.equal(stranger.cause, 'token-unknown');
  const token = await addToken(path, terms);
  assert.equal(statSync(path).mode & 0o777, 0o600);
  assert.ok('who' in (await file.verify(token)));
  const second = await addToken(path, { ...terms, serviceAccount: 'other' });
  assert.ok('who' in (await file.verify(token)));
  assert.ok('who' in (await file.verify(second)));
  writeFileSync(path, readFileSync(path, 'utf8').split('\n').slice(1).join('\n'));
  assert.ok('cause' in (await file.verify(token)));
  assert.ok('who' in (await file.verify(second)));
});

test('a file that cannot be read lets nobody in, and is said once', async (t) => {
  const { file, path, troubles } = open(t);
  const token = await addToken(path, terms);
  rmSync(path);
  const { mkdirSync } = await import('node:fs');
  mkdirSync(path);
  for (let round = 0; round < 2; round += 1) {
    const refused = await file.verify(token);
    assert.ok('cause' in refused);
    assert.deepEqual([refused.status, refused.cause], [503, 'tokens-unreadable']);
  }
  assert.equal(troubles.length, 1);
});

test('a file of a size that no list of tokens has is not believed', async (t) => {
  const { file, path, troubles } = open(t);
  const token = await addToken(path, terms);
  const line = readFileSync(path, 'utf8');
  writeFileSync(path, line.padEnd(authorityLimits.tokensFileBytesMax + 1, '\n'));
  const refused = await file.verify(token);
  assert.ok('cause' in refused);
  assert.deepEqual([refused.status, refused.cause], [503, 'tokens-unreadable']);
  assert.match(troubles.join(), /the file is too long/);
});
