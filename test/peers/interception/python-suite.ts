/**
 * Runs modules of Debian's libpython3.11-testsuite in a pod, and tells how each test ended.
 *
 * Python's own runner stops at the first test that hangs and tells nothing of the others, so the
 * tests are run by a few lines of unittest: each start and end is one line of output. A test that
 * hangs ends the process; the rest of its module is then run by the next one.
 */

import { chownSync, mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { type Pod, users } from '../../support/namespace-pods.ts';

export type Outcome = 'passed' | 'failed' | 'skipped' | 'hung';

export const python = '/usr/bin/python3.11';

/**
 * Arguments: module, seconds for a test, what has run. Resources that Python's runner leaves out
 * (the network, a minute of processor time) are left out here. Lines go to a copy of stdout, because
 * tests replace sys.stdout and write what they like to file 1.
 */
const runner = `
import faulthandler, json, os, sys, unittest
from test import support

support.use_resources = ()
module, seconds, done = sys.argv[1], float(sys.argv[2]), set(json.loads(sys.stdin.readline()))
say = os.fdopen(os.dup(1), 'w', buffering=1)
os.dup2(2, 1)

class Result(unittest.TestResult):
    def tell(self, test, word, error=None):
        why = ''
        if error is not None:
            why = ' '.join(repr(error[1]).split())[:300]
        say.write('@' + json.dumps([test.id(), word, why]) + '\\n')
    def startTest(self, test):
        super().startTest(test)
        self.tell(test, 'started')
        faulthandler.dump_traceback_later(seconds, exit=True)
    def stopTest(self, test):
        faulthandler.cancel_dump_traceback_later()
        super().stopTest(test)
    def addSuccess(self, test):
        self.tell(test, 'passed')
    def addExpectedFailure(self, test, err):
        self.tell(test, 'passed')
    def addUnexpectedSuccess(self, test):
        self.tell(test, 'failed')
    def addSkip(self, test, reason):
        self.tell(test, 'skipped')
    def addFailure(self, test, err):
        self.tell(test, 'failed', err)
    addError = addFailure
    def addSubTest(self, test, subtest, err):
        if err is not None:
            self.tell(test, 'failed', err)

def flat(suite):
    for each in suite:
        if isinstance(each, unittest.TestSuite):
            yield from flat(each)
        else:
            yield each

loaded = unittest.defaultTestLoader.loadTestsFromName('test.' + module)
unittest.TestSuite(each for each in flat(loaded) if each.id() not in done).run(Result())
say.write('@["", "ended", ""]\\n')
say.flush()
os._exit(0)
`;

export interface SuiteResult {
  readonly outcomes: ReadonlyMap<string, Outcome>;
  /** What Python said of those that failed. */
  readonly reasons: ReadonlyMap<string, string>;
}

/** Runs the tests of `test.<module>` as an application of the pod. */
export async function runModule(pod: Pod, module: string, seconds = 30): Promise<SuiteResult> {
  const outcomes = new Map<string, Outcome>();
  const reasons = new Map<string, string>();
  const folder = mkdtempSync(join(tmpdir(), 'tracecar-python-'));
  chownSync(folder, 1000, 1000);
  try {
    for (let isWhole = false; !isWhole; ) {
      const done = JSON.stringify([...outcomes.keys()]);
      const command = ['env', '-C', folder, python, '-c', runner, module, String(seconds)];
      const env = { HOME: folder, TMPDIR: folder, PYTHONDONTWRITEBYTECODE: '1' };
      const options = { env, input: `${done}\n`, timeoutMs: 500_000 };
      const { output, errors } = await pod.finish(users.app, command, options);
      const last = readOutcomes(output, outcomes, reasons);
      isWhole = last === '';
      if (last === undefined) throw new Error(`${module} did not run:\n${errors.slice(-2_000)}`);
      if (!isWhole) outcomes.set(last, 'hung');
    }
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
  return { outcomes, reasons };
}

/** The test that was started last, '' when the module came to its end, undefined when none began. */
function readOutcomes(
  output: string,
  outcomes: Map<string, Outcome>,
  reasons: Map<string, string>,
): string | undefined {
  let last: string | undefined;
  for (const line of output.split('\n')) {
    if (!line.startsWith('@[')) continue;
    const [id, word, why] = JSON.parse(line.slice(1)) as [string, Outcome | 'started', string];
    if (word === 'started' || id === '') last = id;
    else if (outcomes.get(id) !== 'failed') outcomes.set(id, word);
    if (why !== '') reasons.set(id, why);
  }
  return last;
}
