/**
 * The list of traces and the comparison of two, in a real Chromium.
 */

import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { Page } from 'playwright-core';
import { demoTrace, exportBody, type SpanFixture, sendSpans } from '../../viewer/span-fixtures.ts';
import { viewedPage } from './browser-fixture.ts';

const viewed = viewedPage('test/peers/page/search-page.test.ts');
const { options } = viewed;
const startMs = 1_795_627_913_000;

async function send(spans: readonly SpanFixture[]): Promise<void> {
  assert.equal((await sendSpans(viewed.viewer().otlp, exportBody(spans))).status, 200);
}

/** The demo's trace to v2, slower and failed. */
function failedTrace(traceId: string): SpanFixture[] {
  return demoTrace(traceId, startMs + 1_000).map((span, index) => ({
    ...span,
    durationMs: span.durationMs * (index < 3 ? 2 : 1),
    isError: index < 2,
    attributes: {
      ...span.attributes,
      ...(index === 1 ? { 'tracecar.subset': 'v2', 'tracecar.weight': 40 } : {}),
      ...(index < 3 ? { 'http.response.status_code': 502 } : {}),
    },
  }));
}

async function rowsOf(page: Page): Promise<string[]> {
  const rows = await page.locator('.trace-row').allInnerTexts();
  return rows.map((row) => row.replace(/\s+/g, ' ').trim());
}

test('without a trace it says what to do; a trace appears by itself', options, async () => {
  const { page, complaints } = await viewed.open();
  await page.goto(viewed.viewer().query);
  await page.waitForSelector('.empty');
  const text = await page.locator('.empty').innerText();
  assert.match(text, /OTEL_EXPORTER_OTLP_ENDPOINT=http:\/\/localhost:4318/);
  await send(demoTrace('1'.repeat(32), startMs));
  await page.waitForSelector('.trace-row');
  assert.deepEqual(await rowsOf(page), [
    '17:31:53.000 web GET /productpage 11111111 web ratings reviews 5 ok 2.31 ms compare',
  ]);
  assert.match(await page.locator('.store').innerText(), /1 traces?, 5 spans/);
  assert.deepEqual(complaints, []);
});

test(
  'the form finds by service, tags, duration and error, and is in the address',
  options,
  async () => {
    await send(demoTrace('2'.repeat(32), startMs));
    await send(failedTrace('3'.repeat(32)));
    const { page, complaints } = await viewed.open();
    await page.goto(`${viewed.viewer().query}/?error=true`);
    await page.waitForSelector('.trace-row');
    assert.match(
      (await rowsOf(page)).join('\n'),
      /^[^\n]* 33333333 [^\n]* 2 errors 4\.62 ms compare$/,
    );
    await page.locator('input[name=error]').uncheck();
    await page.locator('.trace-row').nth(1).waitFor();
    assert.equal(page.url(), `${viewed.viewer().query}/`);
    await page.locator('input[name=tags]').fill('tracecar.subset=v2');
    await page.locator('.trace-row').nth(1).waitFor({ state: 'detached' });
    assert.match(page.url(), /\?tags=tracecar.subset%3Dv2$/);
    await page.reload();
    await page.waitForSelector('.trace-row');
    assert.equal(await page.locator('input[name=tags]').inputValue(), 'tracecar.subset=v2');
    await page.locator('input[name=tags]').fill('');
    await page.locator('.trace-row').nth(1).waitFor();
    await page.locator('input[name=min]').fill('4ms');
    await page.locator('.trace-row').nth(1).waitFor({ state: 'detached' });
    await page.locator('input[name=min]').fill('nonsense');
    await page.locator('.bad-text', { hasText: 'nonsense' }).waitFor();
    await page.locator('input[name=min]').fill('');
    await page.locator('.trace-row').nth(1).waitFor();
    await page.locator('select[name=service]').selectOption('ratings');
    await page.waitForURL('**/?service=ratings');
    await page.locator('option', { hasText: 'reviews/{id}' }).waitFor({ state: 'detached' });
    const operations = await page.locator('select[name=operation] option').allInnerTexts();
    assert.deepEqual(operations, ['all operations', 'GET /ratings']);
    // The browser notes the refused duration itself.
    assert.ok(
      complaints.every((text) => /400/.test(text)),
      complaints.join('\n'),
    );
  },
);

test(
  'keys walk the list, open a trace, come back, and mark two for a comparison',
  options,
  async () => {
    await send(demoTrace('4'.repeat(32), startMs));
    await send(failedTrace('5'.repeat(32)));
    const { page, complaints } = await viewed.open();
    await page.goto(viewed.viewer().query);
    const row = (id: string) => page.locator('.trace-row', { hasText: id.repeat(8) });
    await row('4').waitFor();
    await page.keyboard.press('j');
    assert.equal(await page.locator('.trace-row.selected').count(), 1);
    await page.keyboard.press('Enter');
    await page.waitForSelector('.row');
    await page.keyboard.press('Escape');
    await row('4').waitFor();
    await row('4').hover();
    await row('4').locator('.mark').click();
    assert.match(await page.locator('.marked').first().innerText(), /comparing\s+44444444/);
    await row('5').hover();
    await row('5').locator('.mark').click();
    await page.waitForSelector('.pair');
    assert.ok(page.url().endsWith(`/compare/${'4'.repeat(32)}/${'5'.repeat(32)}`));
    assert.match(await page.locator('.verdict').innerText(), /^B took 2\.31 ms longer\./);
    const pairs = (await page.locator('.pair:not(.pair-head)').allInnerTexts()).map((text) =>
      text.replace(/\s+/g, ' ').trim(),
    );
    assert.deepEqual(pairs, [
      'web GET /productpage 200 → 502 2.31 ms 4.62 ms +2.31 ms',
      'web GET → reviews v1 60 % | GET → reviews v2 40 % 200 → 502 2.01 ms 4.02 ms +2.01 ms',
      'reviews GET /reviews/{id} 200 → 502 1.70 ms 3.40 ms +1.70 ms',
      'reviews GET → ratings 200 900 µs 900 µs =',
      'ratings GET /ratings 200 500 µs 500 µs =',
    ]);
    await page.keyboard.press('x');
    await page.locator('.verdict', { hasText: 'less' }).waitFor();
    await page.goBack();
    await page.locator('.verdict', { hasText: 'longer' }).waitFor();
    assert.deepEqual(complaints, []);
  },
);
