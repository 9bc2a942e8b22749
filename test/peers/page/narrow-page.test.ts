/**
 * The page on a telephone and on a small screen, in a real Chromium.
 */

import assert from 'node:assert/strict';
import { test } from 'node:test';
import { demoTrace, exportBody, sendSpans } from '../../viewer/span-fixtures.ts';
import { viewedPage } from './browser-fixture.ts';

const viewed = viewedPage('test/peers/page/narrow-page.test.ts');
const { options } = viewed;
const [one, other] = ['1'.repeat(32), '2'.repeat(32)];

async function openAt(width: number) {
  for (const id of [one, other]) {
    const spans = demoTrace(id, Date.now());
    assert.equal((await sendSpans(viewed.viewer().otlp, exportBody(spans))).status, 200);
  }
  const watched = await viewed.open();
  await watched.page.setViewportSize({ width, height: 800 });
  return watched;
}

test('at 420 pixels everything is reached without a move to the side', options, async () => {
  const { page, complaints } = await openAt(420);
  for (const [path, seen] of [
    ['/', '.trace-row'],
    [`/trace/${one}?span=00000000000000a2`, '.panel'],
    [`/compare/${one}/${other}`, '.pair'],
    ['/ab', '.view-head'],
    ['/ab/some-route', '.view-head'],
    ['/graph', '.node'],
  ] as const) {
    await page.goto(viewed.viewer().query + path);
    await page.waitForSelector(seen);
    const place = await page.locator('.place').evaluate(({ scrollWidth }) => scrollWidth);
    assert.ok(place <= 420, `${path}: ${place} pixels`);
    const rights = await page
      .locator('.bar a, .bar button, .bar input, .switch button')
      .evaluateAll((all) => all.map((each) => each.getBoundingClientRect().right));
    assert.ok(Math.max(...rights) <= 420, `${path}: ${rights}`);
    const heights = await page
      .locator('.switch button')
      .evaluateAll((all) => all.map((each) => each.scrollHeight - each.clientHeight));
    assert.ok(
      heights.every((more) => more <= 0),
      `${path}: ${heights}`,
    );
  }
  assert.deepEqual(complaints, []);
});

test(
  'at 420 pixels a list says what and who, and a panel leaves the waterfall',
  options,
  async () => {
    const { page } = await openAt(420);
    await page.goto(viewed.viewer().query);
    const row = page.locator('.trace-row').first();
    await row.waitFor();
    assert.deepEqual((await row.innerText()).split(/\s+/).filter(Boolean).slice(0, 3), [
      ...(await row.locator('.started').innerText()).split(' '),
      'web',
      'GET',
    ]);
    for (const part of ['.started', '.what b', '.took', '.result']) {
      const { x, width } = (await row.locator(part).boundingBox())!;
      assert.ok(width > 15 && x >= 0 && x + width <= 420, part);
    }
    assert.equal(await row.locator('.chip').last().innerText(), 'reviews');
    await page.goto(`${viewed.viewer().query}/trace/${one}?span=00000000000000a2`);
    await page.waitForSelector('.panel');
    for (const part of ['.rows', '.side']) {
      const { width, height } = (await page.locator(part).boundingBox())!;
      assert.ok(width >= 400 && height >= 78, `${part}: ${width} x ${height}`);
    }
  },
);

test('at 1280 pixels three services have room in the list', options, async () => {
  const { page } = await openAt(1280);
  await page.goto(viewed.viewer().query);
  await page.waitForSelector('.trace-row');
  for (const part of ['.chips', '.what']) {
    const [scroll, client] = await page
      .locator(`.trace-row ${part}`)
      .first()
      .evaluate(({ scrollWidth, clientWidth }) => [scrollWidth, clientWidth]);
    assert.ok(scroll! <= client!, `${part}: ${scroll} in ${client}`);
  }
});
