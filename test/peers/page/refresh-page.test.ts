/**
 * What refreshes itself in a real Chromium: through outages and slow answers, while somebody reads.
 */

import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { Page } from 'playwright-core';
import { demoTrace, exportBody, type SpanFixture, sendSpans } from '../../viewer/span-fixtures.ts';
import { viewedPage } from './browser-fixture.ts';

const viewed = viewedPage('test/peers/page/refresh-page.test.ts');
const { options } = viewed;
const questions = '**/api/**';

async function send(spans: readonly SpanFixture[]): Promise<void> {
  assert.equal((await sendSpans(viewed.viewer().otlp, exportBody(spans))).status, 200);
}

/** The viewer is away, the page says so above what it showed; then it is back, and so is the page. */
async function outage(page: Page, whatStays: string): Promise<void> {
  await page.route(questions, (route) => route.abort());
  await page.clock.runFor(5_000);
  await page.waitForSelector('.notice');
  assert.match(await page.locator('.notice').innerText(), /does not answer/);
  assert.ok((await page.locator(whatStays).count()) > 0, whatStays);
  await page.unroute(questions);
  await page.clock.runFor(5_000);
  await page.locator('.notice').waitFor({ state: 'detached' });
  assert.ok((await page.locator(whatStays).count()) > 0, whatStays);
}

test('an outage is said and over when it is over; what was seen stays', options, async () => {
  const id = '1'.repeat(32);
  const spans = demoTrace(id, Date.now());
  await send(spans.slice(0, 4));
  const { page } = await viewed.open();
  await page.clock.install();
  for (const [path, whatStays] of [
    // First of all: a trace is young by the page's clock, which runs ahead here.
    [`/trace/${id}`, '.row'],
    ['/', '.trace-row'],
    ['/ab/some-route', '.view-head select'],
    ['/graph', '.node'],
  ] as const) {
    await page.goto(viewed.viewer().query + path);
    await page.waitForSelector(whatStays);
    await outage(page, whatStays);
  }
});

test('a trace that is gone from the viewer stays on the screen', options, async () => {
  const id = '2'.repeat(32);
  await send(demoTrace(id, Date.now()));
  const { page } = await viewed.open();
  await page.goto(`${viewed.viewer().query}/trace/${id}`);
  await page.waitForSelector('.row');
  const error = { code: 5, message: 'trace not found' };
  await page.route(questions, (route) => route.fulfill({ status: 404, json: { error } }));
  await page.waitForSelector('.notice');
  assert.match(await page.locator('.notice').innerText(), /does not have this trace any more/);
  assert.equal(await page.locator('.row').count(), 5);
});

test('a late span changes nothing that the reader did', options, async () => {
  const id = '3'.repeat(32);
  const spans = demoTrace(id, Date.now());
  await send(spans.slice(0, 4));
  const { page, complaints } = await viewed.open();
  await page.goto(`${viewed.viewer().query}/trace/${id}`);
  await page.locator('[data-index="1"]').click();
  await page.locator('[data-index="2"] .caret').click();
  const strip = (await page.locator('.minimap').boundingBox())!;
  await page.mouse.move(strip.x + strip.width / 4, strip.y + 10);
  await page.mouse.down();
  await page.mouse.move(strip.x + strip.width * 0.75, strip.y + 10);
  await page.mouse.up();
  await page.locator('.find-field').fill('ratings');
  const tick = await page.locator('.tick').first().innerText();
  await send(spans.slice(4));
  await page.locator('.caret.closed', { hasText: '+2' }).waitFor();
  assert.equal(await page.locator('.row').count(), 3);
  assert.equal(await page.locator('.row.selected').getAttribute('data-index'), '1');
  assert.equal(await page.locator('.find-field').inputValue(), 'ratings');
  assert.equal(await page.locator('.found-count').innerText(), '2');
  assert.equal(await page.evaluate('document.activeElement.className'), 'find-field');
  assert.equal(await page.locator('.minimap.zoomed').count(), 1);
  assert.equal(await page.locator('.tick').first().innerText(), tick);
  assert.deepEqual(complaints, []);
});

test('spans that come in above leave the row at the top where it is', options, async () => {
  const id = '4'.repeat(32);
  const startMs = Date.now();
  const span = (number: number): SpanFixture => ({
    traceId: id,
    spanId: (number + 1).toString(16).padStart(16, '0'),
    ...(number === 0 ? {} : { parentSpanId: '0000000000000001' }),
    service: 's',
    name: `span ${number}`,
    startMs: startMs + number,
    durationMs: number === 0 ? 1_000 : 1,
  });
  const all = Array.from({ length: 300 }, (_, number) => span(number));
  await send(all.filter((_, number) => number < 20 || number >= 40));
  const { page, complaints } = await viewed.open();
  await page.goto(`${viewed.viewer().query}/trace/${id}`);
  await page.locator('[data-index="5"]').waitFor();
  await page.locator('.rows').evaluate((rows) => {
    rows.scrollTop = 26 * 100 + 10;
  });
  const label = page.locator('.row', { hasText: /span 120/ });
  const before = (await label.boundingBox())!;
  await send(all.slice(20, 40));
  await page.locator('.fact-value', { hasText: '300' }).waitFor();
  assert.deepEqual(await label.boundingBox(), before);
  assert.deepEqual(complaints, []);
});

test('a slow search is waited for, not asked again', options, async () => {
  await send(demoTrace('5'.repeat(32), Date.now()));
  const { page, complaints } = await viewed.open();
  const release = Promise.withResolvers<void>();
  const first = Promise.withResolvers<void>();
  let asked = 0;
  await page.route('**/api/view/search*', async (route) => {
    asked += 1;
    first.resolve();
    await release.promise;
    await route.continue();
  });
  await page.clock.install();
  await page.goto(viewed.viewer().query);
  await first.promise;
  await page.clock.runFor(9_500);
  assert.equal(asked, 1);
  release.resolve();
  await page.locator('.trace-row').first().waitFor();
  assert.deepEqual(complaints, []);
});

test('what was typed does not change the address of another page', options, async () => {
  await send(demoTrace('6'.repeat(32), Date.now()));
  const { page } = await viewed.open();
  await page.clock.install();
  await page.goto(viewed.viewer().query);
  await page.locator('.trace-row').first().waitFor();
  await page.clock.pauseAt(Date.now() + 60_000);
  await page.locator('input[name=tags]').fill('y=1');
  await page.locator('.tab', { hasText: 'Graph' }).click();
  await page.waitForSelector('.node');
  await page.clock.runFor(1_000);
  assert.equal(page.url(), `${viewed.viewer().query}/graph`);
});

test('what has the focus keeps it when the graph is drawn again', options, async () => {
  await send(demoTrace('7'.repeat(32), Date.now()));
  const { page, complaints } = await viewed.open();
  await page.goto(`${viewed.viewer().query}/graph`);
  for (const selector of ['.node >> nth=1', '.switch button >> nth=2', '.edges a >> nth=1']) {
    await page.locator(selector).focus();
    const before = (await page.locator(':focus').elementHandle())!;
    const says = await before.innerHTML();
    // Hidden is what is not in the document any more, too.
    await before.waitForElementState('hidden');
    assert.equal(await page.locator(':focus').innerHTML(), says);
  }
  await page.locator('.node', { hasText: 'ratings' }).focus();
  await page.keyboard.press('Enter');
  await page.waitForURL('**/?service=ratings');
  assert.deepEqual(complaints, []);
});
