/**
 * Suites of another project behind a sidecar: every test of Debian's libpython3.11-testsuite that
 * passes in a pod without one passes in a pod whose loopback is redirected through one.
 */

import assert from 'node:assert/strict';
import { existsSync } from 'node:fs';
import { after, before, test } from 'node:test';
import { captureLoopback } from '../../support/loopback-pod.ts';
import { makePods, type Pod, type PodNetwork, whyNoPods } from '../../support/namespace-pods.ts';
import { awaited, exceptions } from './python-exceptions.ts';
import { runModule } from './python-suite.ts';

const suiteFolder = '/usr/lib/python3.11/test/test_asyncio';
const install = 'libpython3.11-testsuite is missing; as root: npm run peers python-suite';
const reason = whyNoPods() ?? (existsSync(suiteFolder) ? undefined : install);
const skip = reason ?? false;
if (reason !== undefined) process.stdout.write(`SKIPPED: ${import.meta.filename}: ${reason}\n`);

const modules = [
  'test_httplib',
  'test_httpservers',
  'test_urllib2_localnet',
  'test_xmlrpc',
  'test_docxmlrpc',
  'test_wsgiref',
  'test_ftplib',
  'test_smtplib',
  'test_smtpd',
  'test_poplib',
  'test_imaplib',
  'test_nntplib',
  'test_telnetlib',
  'test_asyncore',
  'test_asynchat',
  'test_ssl',
  'test_asyncio.test_streams',
  'test_asyncio.test_sock_lowlevel',
  'test_asyncio.test_server',
  'test_asyncio.test_sendfile',
  'test_asyncio.test_buffered_proto',
  'test_asyncio.test_ssl',
  'test_asyncio.test_events',
];

let network: PodNetwork | undefined;
let plain: Pod;
let captured: Pod;
/** Awaited tests that have failed, with what Python said. */
const stillFailing = new Map<string, string>();

before(async () => {
  if (reason !== undefined) return;
  network = makePods(2);
  [plain, captured] = network.pods as [Pod, Pod];
  await captureLoopback(captured);
});

after(() => network?.close());

for (const module of modules) {
  test(`test.${module} passes as it does without a sidecar`, { skip }, async () => {
    const without = await runModule(plain, module);
    const behind = await runModule(captured, module);
    const passing = [...without.outcomes].filter(([, outcome]) => outcome === 'passed');
    assert.ok(passing.length > 0, 'tests run');
    const complaints: string[] = [];
    const failing = new Set<string>();
    for (const [id] of passing) {
      const outcome = behind.outcomes.get(id) ?? 'not run';
      // A skipped test asks for something that a pod does not have, by chance or by the clock.
      if (outcome === 'passed' || outcome === 'skipped') continue;
      const name = `${module} ${id.slice(id.lastIndexOf('.') + 1)}`;
      failing.add(name);
      const said = `${outcome}: ${id}: ${behind.reasons.get(id) ?? ''}`;
      if (name in awaited) stillFailing.set(name, said);
      else if (!(name in exceptions)) complaints.push(said);
    }
    for (const [name, { isByChance }] of Object.entries(exceptions)) {
      if (!name.startsWith(`${module} `) || isByChance || failing.has(name)) continue;
      complaints.push(`${name} passes: it needs no exception`);
    }
    assert.deepEqual(complaints, []);
  });
}

for (const [name, brief] of Object.entries(awaited)) {
  test(`behind a sidecar passes ${name}`, { skip, todo: brief }, () => {
    assert.equal(stillFailing.get(name), undefined);
  });
}
