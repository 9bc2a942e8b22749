/** An authority with an issuer from outside, whose files somebody replaces while it runs. */

import assert from 'node:assert/strict';
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { type TestContext, test } from 'node:test';
import { ManualClock } from '../../src/base/clock.ts';
import { FolderStore } from '../../src/identity/state-store.ts';
import { CaProgram } from '../../src/main/ca-serve.ts';
import { readCaSettings } from '../../src/main/ca-settings.ts';
import { Log } from '../../src/main/log.ts';
import { temporaryFolder } from '../e2e/sidecar-process.ts';
import { makeRoot } from '../support/mesh-material.ts';
import { type IssuerTerms, makeOddIssuer, oddCurveKeys } from '../support/odd-issuers.ts';

const hourMs = 3_600_000;

async function start(t: TestContext) {
  const folder = temporaryFolder(t);
  const root = makeRoot();
  const file = (name: string) => join(folder, name);
  const use = (terms: IssuerTerms) => {
    const { by, privateKey } = makeOddIssuer({ endsInMs: 60 * 24 * hourMs, ...terms, root });
    writeFileSync(file('tls.crt'), by.issuers);
    writeFileSync(file('tls.key'), privateKey, { mode: 0o600 });
  };
  use({});
  writeFileSync(file('ca.crt'), root.roots);
  const places = ['--listen', '127.0.0.1:0', '--metrics', '127.0.0.1:0', '--state', folder];
  const pair = ['--issuer-cert', file('tls.crt'), '--issuer-key', file('tls.key')];
  const settings = readCaSettings([...places, ...pair, '--roots', file('ca.crt')], {});
  const lines: { level: string; message: string }[] = [];
  const program = new CaProgram({
    ...{ settings, store: new FolderStore(folder, Date.now) },
    verify: async () => ({ status: 401, cause: 'token-unknown', message: 'nobody' }),
    ...{ publish: async () => {}, published: async () => undefined },
    log: new Log('info', { write: (text) => lines.push(JSON.parse(text)) }, new ManualClock()),
  });
  await program.start();
  t.after(() => program.close());
  /** What it says of the files that are there now; of useless ones not at its first look. */
  const said = async () => {
    const from = lines.length;
    while (lines.length === from) await program.reread();
    return `${lines[from]!.level}: ${lines[from]!.message}`;
  };
  return { said, use };
}

test('an issuer that is of no use changes nothing, and is named; a good one is taken', {
  timeout: 60_000,
}, async (t) => {
  const { said, use } = await start(t);
  const useless: readonly (readonly [IssuerTerms, RegExp])[] = [
    [
      { endsInMs: -hourMs / 2 },
      /the issuer ended at \d{4}-\S+; what was read before stays in use$/,
    ],
    [{ beginsInMs: hourMs }, /CN=odd issuer begins at .*; what was read before stays in use$/],
    [{ keys: oddCurveKeys() }, /CN=odd issuer is not believed: .*; what was read before stays/],
  ];
  for (const [terms, why] of useless) {
    use(terms);
    const line = await said();
    assert.match(line, /^error: /);
    assert.match(line, why);
  }
  use({});
  assert.equal(await said(), 'info: signing');
});
