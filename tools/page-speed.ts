/**
 * `node tools/page-speed.ts [SPANS]`: how fast the viewer's page shows a trace of so many spans (10 000)
 * in a real Chromium, and how evenly it scrolls. Prints one JSON object.
 *
 * Needs `npm run peers chromium`. The figures of docs/viewer.md come from here; they are no test, for
 * they depend on the machine.
 */

import type { Page } from 'playwright-core';
import { openPage, startChromium, whyNoChromium } from '../test/support/chromium.ts';
import { attributeList, sendSpans } from '../test/viewer/span-fixtures.ts';
import { startViewer } from '../test/viewer/viewer-fixture.ts';

const traceId = '4bf92f3577b34da6a3ce929d0e0e4736';
const services = ['web', 'reviews', 'ratings', 'cart', 'shipping', 'mongo', 'auth'];
const spansPerRequest = 2_000;
const loads = 5;

/** A tree in which each span has four below it; attributes as a sidecar sends them. */
function spanOf(index: number, count: number) {
  const startNs = 1_795_627_913_000_000_000n + BigInt(index * 20_000);
  const depth = Math.floor(Math.log(3 * index + 1) / Math.log(4));
  const tookNs = index === 0 ? count * 25_000 : Math.max(30_000, (count * 20_000) / 4 ** depth);
  const id = (value: number): string => (value + 1).toString(16).padStart(16, '0');
  return {
    traceId,
    spanId: id(index),
    ...(index === 0 ? {} : { parentSpanId: id(Math.floor((index - 1) / 4)) }),
    name: 'GET',
    kind: index % 2 === 0 ? 3 : 2,
    startTimeUnixNano: String(startNs),
    endTimeUnixNano: String(startNs + BigInt(Math.round(tookNs))),
    attributes: attributeList({
      'http.request.method': 'GET',
      'http.response.status_code': 200,
      'server.address': 'reviews',
      'server.port': 9080,
      'url.full': `http://reviews:9080/reviews?id=${index}`,
      'tracecar.direction': 'outbound',
      'tracecar.route': 'default/reviews-route',
      'tracecar.rule': 0,
      'tracecar.rule.origin': 'reviews-route.yaml:15:7',
      'tracecar.subset': 'v1',
      'tracecar.weight': 60,
      'tracecar.generation': 3,
      'tracecar.cluster': 'outbound|9080|v1|reviews.default.svc.cluster.local',
      'tracecar.endpoint': '127.0.0.1:22081',
      'tracecar.lb.policy': 'least-request',
      'tracecar.lb.candidates': 1,
      'tracecar.time.ttfb_us': 100,
      'tracecar.time.proxy_us': 11,
      'tracecar.sampled_by': 'parent',
      'tracecar.join': 'preload',
    }),
    status: index % 97 === 0 ? { code: 2 } : {},
  };
}

async function sendTrace(otlp: string, count: number): Promise<void> {
  for (let from = 0; from < count; from += spansPerRequest) {
    const groups = services.map((service, remainder) => ({
      resource: { attributes: attributeList({ 'service.name': service }) },
      scopeSpans: [
        {
          scope: { name: 'tracecar', version: '0.1.0' },
          spans: Array.from(
            { length: Math.min(spansPerRequest, count - from) },
            (_, at) => from + at,
          )
            .filter((index) => index % services.length === remainder)
            .map((index) => spanOf(index, count)),
        },
      ],
    }));
    const response = await sendSpans(otlp, { resourceSpans: groups });
    if (response.status !== 200) throw new Error(`the viewer answers ${response.status}`);
  }
}

/** In the page: tasks over 50 ms since the last call, in whole milliseconds. */
async function longTasks(page: Page): Promise<readonly number[]> {
  return page.evaluate('globalThis.longTasks.splice(0)');
}

async function measure(page: Page, address: string) {
  await page.addInitScript(`
    globalThis.longTasks = [];
    new PerformanceObserver((list) => {
      for (const { duration } of list.getEntries()) longTasks.push(Math.round(duration));
    }).observe({ entryTypes: ['longtask'] });
    const seen = new MutationObserver(() => {
      if (document.querySelector('.row') === null) return;
      seen.disconnect();
      requestAnimationFrame(() => { globalThis.rowsMs = Math.round(performance.now()); });
    });
    seen.observe(document, { childList: true, subtree: true });`);
  const paintMs: number[] = [];
  const rowsMs: number[] = [];
  for (let load = 0; load < loads; load++) {
    await page.goto(address);
    await page.waitForSelector('.row');
    paintMs.push(
      await page.evaluate(`Math.round(performance.getEntriesByType('paint')[0].startTime)`),
    );
    rowsMs.push(await page.evaluate('globalThis.rowsMs'));
  }
  const loadTasksMs = await longTasks(page);
  await page.locator('.rows').hover();
  const frames = page.evaluate(`new Promise((done) => {
    const begin = performance.now();
    let [last, count, worst] = [begin, 0, 0];
    const next = (now) => {
      worst = Math.max(worst, now - last);
      last = now;
      count++;
      if (now - begin < 4000) requestAnimationFrame(next);
      else done({ count, worstMs: Math.round(worst) });
    };
    requestAnimationFrame(next);
  })`);
  for (let turn = 0; turn < 60; turn++) await page.mouse.wheel(0, 3_000);
  return {
    firstPaintMs: paintMs,
    rowsMs,
    loadTasksMs: loadTasksMs.slice(-2),
    frames: await frames,
    scrollTasksMs: await longTasks(page),
    rowElements: await page.locator('.row').count(),
  };
}

const problem = whyNoChromium();
if (problem !== undefined) throw new Error(problem);
const spans = Number(process.argv[2] ?? 10_000);
const viewer = await startViewer();
await sendTrace(viewer.otlp, spans);
const answer = await fetch(`${viewer.query}/api/v3/traces/${traceId}`);
const mib = (await answer.arrayBuffer()).byteLength / 1024 / 1024;
const browser = await startChromium();
try {
  const { page } = await openPage(browser);
  const measured = await measure(page, `${viewer.query}/trace/${traceId}`);
  process.stdout.write(`${JSON.stringify({ spans, mib: Number(mib.toFixed(1)), ...measured })}\n`);
} finally {
  await browser.close();
  await viewer.close();
}
