/**
 * T14, first half (reference/tracing.md section 11): a tree without dist/, one command, and within a
 * minute a person's browser shows a whole trace of applications that know nothing of tracing.
 */

import assert from 'node:assert/strict';
import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { cpSync, mkdirSync, mkdtempSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join, resolve } from 'node:path';
import { type TestContext, test } from 'node:test';
import { copyOnFreePorts } from '../../e2e/demo-copy.ts';
import { openPage, startChromium, whyNoChromium } from '../../support/chromium.ts';
import { skipWithout } from '../../support/skip-without.ts';

const root = resolve(import.meta.dirname, '../../..');
const skip = skipWithout('test/peers/acceptance/t14-first-waterfall.test.ts', whyNoChromium());
/** The promise, and so what everything is given from the start of the command on. */
const promisedMs = 60_000;

/** The tree as a clone has it after `npm ci`: sources and packages, nothing built. */
function copyTree(t: TestContext): string {
  const tree = mkdtempSync(join(tmpdir(), 'tracecar-tree-'));
  t.after(() => rmSync(tree, { recursive: true, force: true }));
  for (const name of ['src', 'injector', 'examples', 'package.json']) {
    cpSync(join(root, name), join(tree, name), { recursive: true });
  }
  symlinkSync(join(root, 'node_modules'), join(tree, 'node_modules'));
  return tree;
}

async function endDemo(demo: ChildProcess): Promise<void> {
  if (demo.exitCode !== null || demo.signalCode !== null) return;
  const ended = once(demo, 'close');
  // npm passes a signal of the terminal on, not one that it alone gets.
  process.kill(-demo.pid!, 'SIGINT');
  await ended;
}

/** Resolves with the first match in what the demo prints; rejects when it ends before. */
function untilPrinted(demo: ChildProcess, pattern: RegExp): Promise<string> {
  return new Promise((settle, reject) => {
    let text = '';
    for (const stream of [demo.stdout!, demo.stderr!]) {
      stream.setEncoding('utf8').on('data', (chunk: string) => {
        text += chunk;
        const found = pattern.exec(text)?.[1];
        if (found !== undefined) settle(found);
      });
    }
    demo.on('close', (status) => reject(new Error(`the demo ended with ${status}:\n${text}`)));
  });
}

test('T14: one command on a tree without dist/, and Chromium shows a whole trace within a minute', {
  skip,
  timeout: 180_000,
}, async (t) => {
  const tree = copyTree(t);
  const ports = await copyOnFreePorts();
  t.after(() => ports.remove());
  const browser = await startChromium();
  t.after(() => browser.close());
  const { page, complaints } = await openPage(browser);
  page.setDefaultTimeout(promisedMs);
  const demo = spawn('npm', ['run', 'demo', '--', '--config', ports.path], {
    cwd: tree,
    detached: true,
    stdio: ['ignore', 'pipe', 'pipe'],
  });
  t.after(() => endDemo(demo));
  const late = AbortSignal.timeout(promisedMs);
  const viewer = await untilPrinted(demo, /viewer +(http:\/\/\S+)/);
  // What a person does: opens the page, sees traces come, clicks on a whole one.
  await page.goto(viewer);
  await page.locator('.trace-row', { hasText: 'ratings' }).first().locator('.what a').click();
  await page.waitForSelector('[data-index="4"]');
  assert.equal(late.aborted, false, 'a minute is over');
  const services = await page.locator('.row b').allInnerTexts();
  assert.deepEqual(services, ['web', 'web', 'reviews', 'reviews', 'ratings']);
  const labels = await page.locator('.row .label').allInnerTexts();
  assert.match(labels[1]!, /^GET → reviews v[12] (60|40) %$/);
  assert.equal(labels[3], 'GET → ratings');
  await page.locator('[data-index="1"]').click();
  assert.match(
    await page.locator('.reasons').innerText(),
    /route default\/reviews-route \(reviews-route\.yaml:\d+:\d+\) chose subset v[12], .* weight (60|40)\./,
  );
  assert.deepEqual(complaints, []);
  if (process.env.SCREENSHOTS !== undefined) {
    mkdirSync(process.env.SCREENSHOTS, { recursive: true });
    writeFileSync(join(process.env.SCREENSHOTS, 't14.png'), await page.screenshot());
  }
});
