/**
 * The page as files: what is served where, under which policy, and that sources need no build.
 */

import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';
import { promisify } from 'node:util';
import { type RunningViewer, startViewer } from './viewer-fixture.ts';

const nextTurn = promisify(setImmediate);
let viewer: RunningViewer;

before(async () => {
  viewer = await startViewer();
});

after(() => viewer.close());

const policy =
  "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; " +
  "img-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'";

test('every address of the page is the same shell, without a script or style inside', async () => {
  const shells = new Set<string>();
  for (const path of ['/', '/trace/abc?span=1', '/trace/<i>', '/compare/a/b', '/ab/r', '/graph']) {
    const response = await fetch(viewer.query + path);
    assert.equal(response.status, 200, path);
    assert.equal(response.headers.get('content-security-policy'), policy);
    assert.equal(response.headers.get('x-content-type-options'), 'nosniff');
    shells.add(await response.text());
  }
  assert.equal(shells.size, 1);
  const [html] = [...shells];
  assert.deepEqual(html!.match(/<script[^>]*>[^<]*<\/script>/g), [
    '<script type="module" src="/assets/viewer/page/app.ts"></script>',
  ]);
  assert.ok(!/<style|\son\w+=|javascript:/i.test(html!));
});

test('scripts are JavaScript all the way down, and Node warns of nothing', async (t) => {
  const warnings: Error[] = [];
  const warned = (warning: Error) => warnings.push(warning);
  process.on('warning', warned);
  t.after(() => process.off('warning', warned));
  const seen = new Set<string>();
  const waiting = ['/assets/viewer/page/app.ts'];
  for (let path = waiting.pop(); path !== undefined; path = waiting.pop()) {
    if (seen.has(path)) continue;
    seen.add(path);
    const response = await fetch(viewer.query + path);
    assert.equal(response.status, 200, path);
    assert.equal(response.headers.get('content-type'), 'text/javascript; charset=utf-8');
    const text = await response.text();
    // A type that was left would be an error of syntax; imports are what the browser asks for next.
    assert.doesNotMatch(text, /^(import|export) type |^export interface /m, path);
    for (const [, target] of text.matchAll(/^(?:import|\} from)\b[^']*'([^']+)'/gm)) {
      assert.ok(target!.startsWith('.'), `${path} imports ${target}`);
      waiting.push(new URL(target!, viewer.query + path).pathname);
    }
  }
  assert.ok(seen.has('/assets/viewer/critical-path.ts') && seen.has('/assets/model/failure.ts'));
  // A warning is emitted after the turn that brought it.
  await nextTurn();
  assert.deepEqual(warnings, []);
});

test('nothing but the page and what it imports can be asked for', async () => {
  for (const name of [
    'viewer/../../package.json',
    'viewer/%2e%2e/%2e%2e/package.json',
    'viewer/page/tsconfig.json',
    'viewer/page/',
    'main/view.ts',
    'viewer/page/page/app.ts',
    'viewer/absent.ts',
    '',
  ]) {
    const response = await fetch(`${viewer.query}/assets/${name}`);
    assert.equal(response.status, 404, name);
  }
});
