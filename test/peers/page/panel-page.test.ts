/**
 * The panel of a span in a real Chromium, whatever its attributes are; and the keys around it.
 */

import assert from 'node:assert/strict';
import { test } from 'node:test';
import { demoTrace, exportBody, type SpanFixture, sendSpans } from '../../viewer/span-fixtures.ts';
import { viewedPage } from './browser-fixture.ts';

const viewed = viewedPage('test/peers/page/panel-page.test.ts');
const { options } = viewed;
const startMs = 1_795_627_913_000;

/** A trace with a span below its root for each set of attributes. */
async function show(traceId: string, sets: readonly SpanFixture['attributes'][]) {
  const [root] = demoTrace(traceId, startMs);
  const below = sets.map((attributes, index) => ({
    ...root!,
    spanId: (0xb0 + index).toString(16).padStart(16, '0'),
    parentSpanId: root!.spanId,
    name: `span ${index}`,
    kind: 3,
    startMs: startMs + index / 10,
    ...(attributes === undefined ? {} : { attributes }),
  }));
  const body = exportBody([root!, ...below]);
  assert.equal((await sendSpans(viewed.viewer().otlp, body)).status, 200);
  const watched = await viewed.open();
  await watched.page.goto(`${viewed.viewer().query}/trace/${traceId}`);
  await watched.page.waitForSelector('.row');
  return watched;
}

test('any value of any attribute opens the panel', options, async () => {
  const values = [
    'constructor',
    'toString',
    '__proto__',
    'valueOf',
    '\ud800',
    'x\udc00',
    '',
    '|||',
  ];
  const keys = ['sampled_by', 'cause', 'join', 'subset', 'cluster', 'attempt.reason', 'weight'];
  const { page, complaints } = await show(
    'a'.repeat(32),
    values.map((value) => ({
      ...Object.fromEntries(keys.map((key) => [`tracecar.${key}`, value])),
      'tracecar.route': `r${value}`,
      'tracecar.direction': 'outbound',
      'http.request.resend_count': 1,
      'service.peer.name': value,
      y: value,
      [`k${value}`]: 'v',
    })),
  );
  await page.locator('[data-index="0"]').click();
  for (const index of values.keys()) {
    await page.keyboard.press('j');
    await page.locator('.panel-title', { hasText: `span ${index}` }).waitFor();
    assert.match(page.url(), new RegExp(`span=0+${(0xb0 + index).toString(16)}$`));
    const keysShown = await page.locator('.attributes').first().locator('th').count();
    assert.ok(keysShown > keys.length, `${keysShown}`);
    assert.equal(
      await page
        .locator('.panel')
        .innerText()
        .then((text) => text.isWellFormed()),
      true,
    );
  }
  assert.deepEqual(complaints, []);
});

test(
  'the way from an attribute to its traces finds them, whatever it is called',
  options,
  async () => {
    const id = 'b'.repeat(32);
    const attributes = {
      plain: 'x',
      'a b': 'x',
      'k=v': '1',
      k: 'v=1',
      'quote"': 'w"\\ z',
      'back\\slash': '\\',
      number: 42,
      flag: true,
      part: 1.5,
      empty: '',
    };
    const { page, complaints } = await show(id, [
      {
        ...attributes,
        error: 'true',
        lines: 'one\ntwo',
        turned: 'a\u202eb',
        long: 'x'.repeat(300),
      },
      // Something that a wrong question would find.
      { plain: 'y', k: 'v', a: 'x' },
    ]);
    await page.locator('[data-index="1"]').click();
    const shown = await page.locator('.attributes tr:has(.find) th').allTextContents();
    assert.deepEqual(shown.toSorted(), Object.keys(attributes).toSorted());
    const hrefs = await page
      .locator('.find')
      .evaluateAll((links) => links.map((each) => each.getAttribute('href')!));
    for (const href of hrefs) {
      await page.goto(viewed.viewer().query + href);
      await page.waitForSelector('.trace-row');
      assert.equal(await page.locator('.trace-row').count(), 1, href);
      const query = new URL(page.url()).searchParams;
      // The span alone, not the trace as a whole: with what it does not have nothing is found.
      const answer = await fetch(
        `${viewed.viewer().query}/api/view/search?${new URLSearchParams({ tags: `${query.get('tags')} plain=x` })}`,
      );
      const { traces } = (await answer.json()) as { traces: { id: string }[] };
      assert.deepEqual(
        traces.map((each) => each.id),
        [id],
        href,
      );
    }
    assert.deepEqual(complaints, []);
  },
);

test('a key that closes the help does nothing else', options, async () => {
  const { page, complaints } = await show('c'.repeat(32), [{}]);
  const address = page.url();
  for (const key of ['Escape', 'g', 'j']) {
    await page.keyboard.press('?');
    await page.waitForSelector('dialog');
    await page.keyboard.press(key);
    await page.locator('dialog').waitFor({ state: 'detached' });
    assert.equal(page.url(), address);
    assert.equal(await page.locator('.row.selected').count(), 0);
  }
  // And then it does what it is for.
  await page.keyboard.press('g');
  await page.waitForURL('**/graph');
  assert.deepEqual(complaints, []);
});
