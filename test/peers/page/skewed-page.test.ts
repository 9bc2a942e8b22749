/**
 * The page of a trace whose clocks or parents are wrong, in a real Chromium: it is said, and the trace
 * took what its root took.
 */

import assert from 'node:assert/strict';
import { test } from 'node:test';
import { demoTrace, exportBody, type SpanFixture, sendSpans } from '../../viewer/span-fixtures.ts';
import { viewedPage } from './browser-fixture.ts';

const viewed = viewedPage('test/peers/page/skewed-page.test.ts');
const { options } = viewed;
const startMs = 1_795_627_913_000;

async function headOf(traceId: string, spans: readonly SpanFixture[]) {
  assert.equal((await sendSpans(viewed.viewer().otlp, exportBody(spans))).status, 200);
  const { page, complaints } = await viewed.open();
  await page.goto(`${viewed.viewer().query}/trace/${traceId}`);
  await page.waitForSelector('.row');
  const text = await page.locator('.trace-head').innerText();
  const titles = await page
    .locator('.fact')
    .evaluateAll((facts) => facts.map((fact) => fact.getAttribute('title')));
  assert.deepEqual(complaints, []);
  return { text, titles: titles.join('\n') };
}

test(
  'an hour between two clocks is said, and the trace took what its root took',
  options,
  async () => {
    const id = 'a'.repeat(32);
    const spans = demoTrace(id, startMs).map((each) =>
      each.service === 'web' ? each : { ...each, startMs: each.startMs - 3_600_000 },
    );
    const { text, titles } = await headOf(id, spans);
    assert.match(text, /took\s*2\.31 ms\s*spread\s*60 min 00 s\s*clocks differ\s*60 min 00 s/);
    assert.match(titles, /Clocks differ: reviews began 60 min 00 s before web called it\./);
  },
);

test('circles of parents are counted, and are not spans without parent', options, async () => {
  const id = 'b'.repeat(32);
  const [web, call] = demoTrace(id, startMs);
  const own = { ...call!, parentSpanId: call!.spanId };
  const { text } = await headOf(id, [web!, own]);
  assert.match(text, /in circles\s*1/);
  assert.doesNotMatch(text, /without parent|spread|clocks differ/);
});
