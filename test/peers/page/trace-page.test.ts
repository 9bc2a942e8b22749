/**
 * The page of a trace in a real Chromium: what is seen, what is typed, and what hostile spans do.
 */

import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { Page } from 'playwright-core';
import { demoTrace, exportBody, type SpanFixture, sendSpans } from '../../viewer/span-fixtures.ts';
import { viewedPage } from './browser-fixture.ts';

const viewed = viewedPage('test/peers/page/trace-page.test.ts');
const { options } = viewed;
const startMs = 1_795_627_913_000;

async function show(traceId: string, spans: readonly SpanFixture[], query = '') {
  assert.equal((await sendSpans(viewed.viewer().otlp, exportBody(spans))).status, 200);
  const watched = await viewed.open();
  await watched.page.goto(`${viewed.viewer().query}/trace/${traceId}${query}`);
  await watched.page.waitForSelector('.row');
  return watched;
}

/** Texts of the rows, cells apart. */
function rowTexts(page: Page): Promise<string[][]> {
  return page
    .locator('.row')
    .evaluateAll((rows) =>
      rows
        .sort((one, other) => Number(one.dataset.index) - Number(other.dataset.index))
        .map((row) =>
          ['b', '.label', '.status', '.row-took', '.row-proxy'].map(
            (part) => row.querySelector(part)!.textContent,
          ),
        ),
    );
}

test('every span is a row with its service, its call, its end and its times', options, async () => {
  const id = 'a'.repeat(32);
  const { page, complaints } = await show(id, demoTrace(id, startMs));
  assert.deepEqual(await rowTexts(page), [
    ['web', 'GET /productpage', '200', '2.31 ms', '14.0 µs'],
    ['web', 'GET → reviews v1 60 %', '200', '2.01 ms', '11.0 µs'],
    ['reviews', 'GET /reviews/{id}', '200', '1.70 ms', '9.00 µs'],
    ['reviews', 'GET → ratings', '200', '900 µs', '9.00 µs'],
    ['ratings', 'GET /ratings', '200', '500 µs', '8.00 µs'],
  ]);
  assert.match(await page.locator('.trace-head').innerText(), /took\s*2\.31 ms\s*spans\s*5/);
  // The callee's part of the call is drawn inside of it, and the critical path below both.
  const box = async (selector: string) => (await page.locator(selector).first().boundingBox())!;
  const call = await box('[data-index="1"] .bar');
  const callee = await box('[data-index="1"] .bar-inner');
  const server = await box('[data-index="2"] .bar');
  assert.ok(call.x < callee.x && callee.x + callee.width < call.x + call.width);
  assert.ok(Math.abs(callee.x - server.x) < 1 && Math.abs(callee.width - server.width) < 1);
  assert.equal(await page.locator('[data-index="1"] .path').count(), 2);
  assert.deepEqual(complaints, []);
});

test(
  'an address with a span shows its panel, and the address follows the choice',
  options,
  async () => {
    const id = 'b'.repeat(32);
    const spans = demoTrace(id, startMs);
    const attributes = {
      ...spans[1]!.attributes,
      'tracecar.route': 'reviews-route',
      'tracecar.rule': 0,
      'tracecar.rule.origin': 'reviews-route.yaml:12:7',
      'tracecar.cluster': 'outbound|9080|v1|reviews.default.svc.cluster.local',
      'tracecar.endpoint': '10.0.0.7:9080',
      'tracecar.lb.candidates': 3,
      'tracecar.lb.policy': 'least-request',
      'tracecar.join': 'preload',
      'tracecar.sampled_by': 'ratio',
      'tracecar.cause': 'connect-refused',
    };
    const { page, complaints } = await show(
      id,
      spans.with(1, { ...spans[1]!, attributes, isError: true }),
      '?span=00000000000000a2',
    );
    const panel = page.locator('.panel');
    const why = await panel.locator('.reasons').innerText();
    assert.match(why, /Rule 0 of route reviews-route \(reviews-route\.yaml:12:7\) chose subset v1/);
    assert.match(why, /weight 60/);
    assert.match(
      why,
      /Endpoint 10\.0\.0\.7:9080 of reviews\.default\..*:9080, one of 3 by least-request/,
    );
    assert.match(why, /Cause: connect-refused\. /);
    assert.match(why, /by the propagation preload/);
    assert.match(why, /ratio chose the trace/);
    assert.match(why, /Network and waiting: 310\sµs/);
    await page.keyboard.press('j');
    assert.match(page.url(), /\?span=00000000000000a3$/);
    assert.match(await panel.locator('.panel-title').innerText(), /reviews\s+GET \/reviews/);
    await page.keyboard.press('Escape');
    await panel.waitFor({ state: 'detached' });
    assert.ok(page.url().endsWith(id));
    assert.deepEqual(complaints, []);
  },
);

test(
  'rows close and open, the search finds, dragging zooms, a key changes the theme',
  options,
  async () => {
    const id = 'c'.repeat(32);
    const { page, complaints } = await show(id, demoTrace(id, startMs));
    await page.locator('[data-index="2"] .caret').click();
    assert.equal(await page.locator('.row').count(), 3);
    assert.equal(await page.locator('[data-index="2"] .caret').innerText(), '+2');
    await page.locator('[data-index="2"] .caret').click();
    await page.keyboard.press('/');
    await page.keyboard.type('ratings');
    assert.equal(await page.locator('.row.found').count(), 2);
    await page.keyboard.press('Enter');
    assert.equal(await page.locator('.row.selected').getAttribute('data-index'), '3');
    await page.keyboard.press('Escape');
    assert.equal(await page.locator('.row.found').count(), 0);
    const strip = (await page.locator('.minimap').boundingBox())!;
    await page.mouse.move(strip.x + strip.width / 2, strip.y + 10);
    await page.mouse.down();
    await page.mouse.move(strip.x + strip.width * 0.75, strip.y + 10);
    await page.mouse.up();
    assert.equal(await page.locator('.minimap.zoomed').count(), 1);
    assert.match(await page.locator('.tick').first().innerText(), /1\.\d+ ms/);
    await page.locator('.minimap').dblclick();
    assert.equal(await page.locator('.tick').first().innerText(), '0');
    const background = () => page.evaluate('getComputedStyle(document.body).backgroundColor');
    const light = await background();
    await page.keyboard.press('.');
    const dark = await background();
    assert.notEqual(dark, light);
    await page.reload();
    await page.waitForSelector('.row');
    assert.equal(await background(), dark);
    await page.keyboard.press('?');
    assert.match(await page.locator('dialog').innerText(), /next error of a trace/);
    await page.keyboard.press('Escape');
    await page.locator('dialog').waitFor({ state: 'detached' });
    assert.deepEqual(complaints, []);
  },
);

test('hostile texts stay texts, everywhere', options, async () => {
  const id = 'd'.repeat(32);
  const hostile = `<img src=x onerror="globalThis.bad=1"><script>globalThis.bad=1</script>'"&\u202e\u0007`;
  const spans = demoTrace(id, startMs).map((each) => ({
    ...each,
    service: hostile,
    name: hostile,
    isError: true,
    attributes: { ...each.attributes, [hostile]: hostile, 'tracecar.cause': hostile },
  }));
  const { page, complaints } = await show(id, spans, '?span=00000000000000a2');
  await page.waitForSelector('.panel');
  assert.equal(await page.locator('.place img, .place script').count(), 0);
  const text = await page.locator('body').innerText();
  assert.ok(text.includes('<img src=x onerror="globalThis.bad=1"><script>'));
  // What would turn a line round or ring a bell is replaced.
  assert.ok(!/[\u202e\u0007]/.test(text) && text.includes('\ufffd'));
  assert.equal(await page.evaluate(() => 'bad' in globalThis), false);
  assert.deepEqual(complaints, []);
});

test('a script or style from a span could not run: the policy forbids it', options, async () => {
  const id = 'e'.repeat(32);
  const { page, complaints } = await show(id, demoTrace(id, startMs));
  await page.evaluate(`
    const place = document.querySelector('.place');
    place.innerHTML = '<img src="https://example.org/x" onerror="globalThis.bad=1">';
    const script = document.createElement('script');
    script.textContent = 'globalThis.bad = 1';
    place.append(script);
  `);
  assert.equal(await page.evaluate(() => 'bad' in globalThis), false);
  assert.ok(complaints.some((text) => /Content Security Policy/.test(text)));
});

test('of 10 000 spans only those in view are elements, wherever one scrolls', options, async () => {
  const id = 'f'.repeat(32);
  const spans = Array.from({ length: 10_000 }, (_, index): SpanFixture => {
    const hex = (value: number): string => value.toString(16).padStart(16, '0');
    const parent = Math.floor((index - 1) / 3) + 1;
    return {
      traceId: id,
      spanId: hex(index + 1),
      ...(index === 0 ? {} : { parentSpanId: hex(parent) }),
      service: `s${index % 9}`,
      name: `span ${index}`,
      startMs: startMs + index / 100,
      durationMs: index === 0 ? 101 : 1,
      isError: index === 9_000,
    };
  });
  const { page, complaints } = await show(id, spans);
  const shown = async () => {
    const indexes = await page
      .locator('.row')
      .evaluateAll((rows) => rows.map((row) => Number(row.dataset.index)));
    return { count: indexes.length, last: Math.max(...indexes) };
  };
  assert.ok((await shown()).count <= 80);
  await page.locator('.rows').evaluate((rows) => {
    rows.scrollTop = rows.scrollHeight;
  });
  await page.waitForSelector('[data-index="9999"]');
  const { count, last } = await shown();
  assert.ok(count <= 80 && last === 9_999);
  // The next error is revealed, wherever it is.
  await page.keyboard.press('e');
  assert.equal(await page.locator('.row.selected .label').innerText(), 'span 9000');
  assert.ok((await page.locator('.row.selected').boundingBox())!.y > 0);
  assert.deepEqual(complaints, []);
});

test(
  'a trace that is looked at early becomes whole by itself, and keeps its chosen span',
  options,
  async () => {
    const id = '1'.repeat(32);
    const spans = demoTrace(id, Date.now() - 3);
    const { page, complaints } = await show(id, spans.slice(0, 3));
    await page.locator('[data-index="1"]').click();
    assert.equal((await sendSpans(viewed.viewer().otlp, exportBody(spans.slice(3)))).status, 200);
    await page.waitForSelector('[data-index="4"]');
    assert.equal(await page.locator('.row').count(), 5);
    assert.equal(await page.locator('.row.selected').getAttribute('data-index'), '1');
    assert.deepEqual(complaints, []);
  },
);

test('a trace that has not come yet appears when it has', options, async () => {
  const id = '2'.repeat(32);
  const { page } = await viewed.open();
  await page.goto(`${viewed.viewer().query}/trace/${id}`);
  await page.waitForSelector('.empty');
  await sendSpans(viewed.viewer().otlp, exportBody(demoTrace(id, startMs)));
  await page.waitForSelector('[data-index="4"]');
});

test('a trace that is not there says why, and leads back', options, async () => {
  const { page, complaints } = await viewed.open();
  await page.goto(`${viewed.viewer().query}/trace/00000000000000000000000000000abc`);
  await page.waitForSelector('.empty');
  assert.match(await page.locator('.empty').innerText(), /not exported yet/);
  await page.goto(`${viewed.viewer().query}/trace/xyz`);
  await page.waitForSelector('.empty');
  assert.match(await page.locator('.empty').innerText(), /up to 32 hex digits/);
  // The browser itself notes the 404 of the question; nothing else complains.
  assert.ok(
    complaints.every((text) => /404/.test(text)),
    complaints.join('\n'),
  );
});
