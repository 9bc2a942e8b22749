/**
 * A against B and the service graph in a real Chromium, from counters that a sidecar sends.
 */

import assert from 'node:assert/strict';
import { test } from 'node:test';
import { type PointFixture, sendMetrics } from '../../viewer/metric-fixtures.ts';
import { demoTrace, exportBody, sendSpans } from '../../viewer/span-fixtures.ts';
import { viewedPage } from './browser-fixture.ts';

const viewed = viewedPage('test/peers/page/counts-page.test.ts');
const { options } = viewed;
const startMs = 1_795_627_913_000;
const route = 'default/reviews-route';

/** Two reports of a caller, a minute apart: of 1 000 requests to each version v2 fails 30. */
async function report(service: string, route: string): Promise<void> {
  const points = (times: number): readonly PointFixture[] => [
    { subset: 'v1', status: 200, requests: 1_000 * times },
    { subset: 'v2', status: 200, requests: 970 * times, durationMs: 30 },
    { subset: 'v2', status: 502, errorType: '502', requests: 30 * times },
  ];
  for (const [age, times] of [
    [5_000, 0],
    [55_000, 1],
  ] as const) {
    viewed.viewer().clock.advance(age);
    const response = await sendMetrics(viewed.viewer().otlp, {
      service,
      startMs,
      timeMs: startMs + 5_000 + age * times,
      points: points(times).map((point) => ({ route, peer: 'reviews', ...point })),
    });
    assert.equal(response.status, 200);
  }
}

test('without counts both pages say how to get them', options, async () => {
  const { page, complaints } = await viewed.open();
  for (const [path, says] of [
    ['/ab', /OTEL_METRICS_EXPORTER=otlp/],
    ['/ab/some-route', /No counts of some-route yet/],
    ['/graph', /Nobody has called anybody yet/],
  ] as const) {
    await page.goto(viewed.viewer().query + path);
    await page.waitForSelector('.empty');
    assert.match(await page.locator('.empty').innerText(), says);
  }
  assert.deepEqual(complaints, []);
});

test(
  'a route leads to its subsets: rates, errors, latencies, and what they prove',
  options,
  async () => {
    await report('shop', route);
    const { page, complaints } = await viewed.open();
    await page.goto(`${viewed.viewer().query}/ab`);
    await page.locator('.trace-row', { hasText: route }).waitFor();
    await page.keyboard.press('j');
    assert.match(await page.locator('.trace-row.selected').innerText(), /default\/reviews-route/);
    await page.keyboard.press('Enter');
    await page.waitForSelector('.subset');
    assert.match(
      await page.locator('.verdict').innerText(),
      /^v2 fails more often than v1: 3\.0 % against 0 %; .* v2 is slower: p95 /,
    );
    const cards = (await page.locator('.subset').allInnerTexts()).map((text) =>
      text.replace(/\s+/g, ' '),
    );
    assert.match(cards[0]!, /^v1 .*share 50\.0 % .*errors 0 % .*0 of 1,000 failed/);
    assert.match(cards[1]!, /^v2 .*share 50\.0 % .*errors 3\.0 % .*30 of 1,000 failed .*502: 30/);
    assert.equal(await page.locator('.interval').count(), 2);
    assert.equal(await page.locator('.shape').count(), 2);
    assert.equal(await page.locator('.line').count(), 4);
    // Where the interval of v2 is drawn is where its numbers are.
    const centers = await page
      .locator('.point')
      .evaluateAll((points) => points.map((point) => Number(point.getAttribute('cx'))));
    assert.ok(centers[1]! > centers[0]!);
    await page.locator('button', { hasText: '1 min' }).click();
    await page.waitForURL('**/ab/default%2Freviews-route?seconds=60');
    await page.locator('.subset').first().waitFor();
    assert.deepEqual(complaints, []);
  },
);

test(
  'the graph shows who calls whom, with rates; a service leads to its traces',
  options,
  async () => {
    await report('web', 'other-route');
    const id = '1'.repeat(32);
    await sendSpans(viewed.viewer().otlp, exportBody(demoTrace(id, startMs + 59_000)));
    const { page, complaints } = await viewed.open();
    await page.goto(`${viewed.viewer().query}/graph?seconds=300`);
    const node = (name: string) => page.locator('.node', { hasText: name });
    await node('ratings').waitFor();
    const box = async (name: string) => (await node(name).locator('.box').boundingBox())!;
    const [web, reviews, ratings] = [await box('web'), await box('reviews'), await box('ratings')];
    assert.ok(web.x < reviews.x && reviews.x < ratings.x);
    // Counted: a rate and the share of errors. Known from spans only: dashed, and no rate.
    const labels = await page.locator('.edge.bad text').allTextContents();
    assert.equal(labels.length, 2);
    for (const label of labels) assert.match(label, /^[\d.]+\/s · 1\.5 %$/);
    assert.equal(await page.locator('.edge.dashed text').textContent(), '1 traced');
    const rows = (await page.locator('.edges tbody tr').allInnerTexts()).map((text) =>
      text.replace(/\s+/g, ' ').trim(),
    );
    assert.match(rows[0]!, /^reviews → ratings traced 1 /);
    assert.match(rows[1]!, /^shop → reviews [\d.]+\/s 2,000 1\.5 % /);
    assert.match(rows[2]!, /^web → reviews [\d.]+\/s 2,000 1\.5 % /);
    await node('ratings').click();
    await page.waitForURL('**/?service=ratings');
    await page.locator('.trace-row').waitFor();
    assert.deepEqual(complaints, []);
  },
);
