/**
 * Suites of another project behind a sidecar: every test of Debian's libpython3.11-testsuite that
 * passes in a pod without one passes in a pod whose loopback is redirected through one.
 *
 * A test file names its modules; each becomes one test.
 */

import assert from 'node:assert/strict';
import { existsSync } from 'node:fs';
import { after, before, test } from 'node:test';
import { captureLoopback } from '../../support/loopback-pod.ts';
import { makePods, type Pod, type PodNetwork, whyNoPods } from '../../support/namespace-pods.ts';
import { skipWithout } from '../../support/skip-without.ts';
import { exceptions } from './python-exceptions.ts';
import { runModule } from './python-suite.ts';

const suiteFolder = '/usr/lib/python3.11/test/test_asyncio';
const install = 'libpython3.11-testsuite is missing; as root: npm run peers python-suite';

/** Registers the tests of a file. */
export function compareModules(file: string, modules: readonly string[]): void {
  const skip = skipWithout(file, whyNoPods() ?? (existsSync(suiteFolder) ? undefined : install));
  let network: PodNetwork | undefined;

  before(async () => {
    if (skip !== false) return;
    network = makePods(2);
    await captureLoopback(network.pods[1]!);
  });

  after(() => network?.close());

  for (const module of modules) {
    test(`test.${module} passes as it does without a sidecar`, {
      skip,
      timeout: 240_000,
    }, async () => {
      const [plain, captured] = network!.pods as [Pod, Pod];
      const failing = await failingBehind(plain, captured, module);
      const complaints: string[] = [];
      for (const [name, said] of failing) {
        if (!(name in exceptions)) complaints.push(said);
      }
      for (const [name, { isByChance }] of Object.entries(exceptions)) {
        if (!name.startsWith(`${module} `) || isByChance || failing.has(name)) continue;
        complaints.push(`${name} passes: it needs no exception`);
      }
      assert.deepEqual(complaints, []);
    });
  }
}

/** What passes in the first pod and fails in the second: module and method, and what was said. */
async function failingBehind(
  plain: Pod,
  captured: Pod,
  module: string,
): Promise<Map<string, string>> {
  const without = await runModule(plain, module);
  const behind = await runModule(captured, module);
  const passing = [...without.outcomes].filter(([, outcome]) => outcome === 'passed');
  assert.ok(passing.length > 0, 'tests run');
  const failing = new Map<string, string>();
  for (const [id] of passing) {
    const outcome = behind.outcomes.get(id) ?? 'not run';
    // A skipped test asks for something that a pod does not have, by chance or by the clock.
    if (outcome === 'passed' || outcome === 'skipped') continue;
    const name = `${module} ${id.slice(id.lastIndexOf('.') + 1)}`;
    const said = `${outcome}: ${id}: ${behind.reasons.get(id) ?? ''}`;
    failing.set(name, `${failing.get(name) ?? ''}${said}\n`);
  }
  return failing;
}
