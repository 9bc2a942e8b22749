/**
 * The port of merged metrics: the application's page and ours in one, and ours whatever the
 * application does. Real sockets on both sides.
 */

import assert from 'node:assert/strict';
import { createServer, get, type IncomingHttpHeaders, type RequestListener } from 'node:http';
import type { AddressInfo } from 'node:net';
import { type TestContext, test } from 'node:test';
import { AppMetrics, readAppMetrics } from '../../src/admin/app-metrics.ts';
import { createMergedServer } from '../../src/admin/merged-server.ts';
import { systemWakeUps, type WakeUps } from '../../src/base/deadlines.ts';
import { appMetricsLimits } from '../../src/model/metrics-limits.ts';
import {
  contentTypes,
  MetricText,
  type TextFormat,
} from '../../src/telemetry/metrics/metric-text.ts';
import { MetricTextReader } from '../../src/telemetry/metrics/metric-text-reader.ts';
import { untilSo } from '../support/turns.ts';

const limit = { timeout: 30_000 };

function* ownPage(format: TextFormat): Generator<string> {
  const text = new MetricText(format);
  text.family('tracecar_requests_total', 'counter', 'Requests that have ended.');
  text.sample('tracecar_requests_total', 'status="200"', 7);
  yield text.take();
  text.family('shared_total', 'counter', 'What both have.');
  text.sample('shared_total', 'of="sidecar"', 1);
  text.end();
  yield text.take();
}

interface Merged {
  readonly problems: string[];
  scrape(headers?: Record<string, string>): Promise<{ type: string; text: string }>;
}

async function startApplication(t: TestContext, application: RequestListener): Promise<number> {
  const server = createServer(application);
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  t.after(() => {
    server.closeAllConnections();
    server.close();
  });
  return (server.address() as AddressInfo).port;
}

/** A sidecar's port before an application; `wakeUps` measures how long it may take. */
async function startMerged(
  t: TestContext,
  application: RequestListener,
  wakeUps: WakeUps = systemWakeUps,
): Promise<Merged> {
  const problems: string[] = [];
  const app = new AppMetrics({
    page: { port: await startApplication(t, application), path: '/stats?all=1' },
    address: '127.0.0.1',
    wakeUps,
    onProblem: (problem) => problems.push(problem),
  });
  const merged = createMergedServer((format) => Promise.resolve(ownPage(format)), app);
  const { port } = await merged.listen('127.0.0.1', 0);
  t.after(() => merged.close());
  return { problems, scrape: (headers = {}) => scrape(port, headers) };
}

function scrape(
  port: number,
  headers: Record<string, string>,
): Promise<{ type: string; text: string }> {
  return new Promise((resolve, reject) => {
    get({ host: '127.0.0.1', port, path: '/metrics', headers, agent: false }, (response) => {
      assert.equal(response.statusCode, 200);
      let text = '';
      response.setEncoding('utf8');
      response.on('data', (chunk: string) => {
        text += chunk;
      });
      response.on('error', reject);
      const type = response.headers['content-type'] ?? '';
      response.on('end', () => resolve({ type, text }));
    }).on('error', reject);
  });
}

/** Every line of a page is one, and each family is described once. */
function assertSound({ type, text }: { type: string; text: string }): void {
  const format = type === contentTypes.openmetrics ? 'openmetrics' : 'prometheus';
  const reader = new MetricTextReader(format, 10_000);
  reader.push(text);
  reader.end();
  assert.equal(reader.problem, '', text);
  const families = [...text.matchAll(/^# TYPE (\S+)/gm)].map(([, family]) => family);
  assert.equal(new Set(families).size, families.length, text);
}

const appText =
  '# HELP shared_total Of ours.\n# TYPE shared_total counter\nshared_total{of="app"} 2\n' +
  '# TYPE orders_total counter\norders_total 3';

test("one page has the application's metrics and ours, each family once", limit, async (t) => {
  const seen: IncomingHttpHeaders[] = [];
  const { scrape: ask, problems } = await startMerged(t, ({ headers, url }, response) => {
    assert.equal(url, '/stats?all=1');
    seen.push(headers);
    response.end(appText);
  });
  const page = await ask();
  assertSound(page);
  for (const line of [
    'tracecar_requests_total{status="200"} 7',
    'shared_total{of="sidecar"} 1',
    'shared_total{of="app"} 2',
    'orders_total 3',
    'tracecar_app_metrics_up 1',
  ]) {
    assert.ok(page.text.split('\n').includes(line), `${line} in\n${page.text}`);
  }
  assert.equal(seen[0]?.accept, 'text/plain;version=0.0.4');
  assert.deepEqual(problems, []);
});

test('both are in the format that the application speaks', limit, async (t) => {
  const openText = `${appText.replaceAll(' shared_total', ' shared').replaceAll(' orders_total', ' orders')}\n# EOF\n`;
  const { scrape: ask } = await startMerged(t, ({ headers }, response) => {
    const isOpen = headers.accept?.includes('openmetrics') === true && headers.cookie === undefined;
    if (isOpen) response.setHeader('Content-Type', 'application/openmetrics-text; version=1.0.0');
    response.end(isOpen ? openText : appText);
  });
  const open = await ask({ accept: 'application/openmetrics-text;version=1.0.0' });
  assert.equal(open.type, contentTypes.openmetrics);
  assertSound(open);
  assert.match(open.text, /\norders_total 3\n# EOF\n$/);
  const plain = await ask({ accept: 'text/plain' });
  assert.equal(plain.type, contentTypes.prometheus);
  assertSound(plain);
  const { scrape: askOld } = await startMerged(t, (_request, response) => response.end(appText));
  const old = await askOld({ accept: 'application/openmetrics-text;version=1.0.0' });
  assert.equal(old.type, contentTypes.prometheus);
  assertSound(old);
});

const broken: readonly (readonly [string, RegExp, RequestListener])[] = [
  ['answers 500', /it answered 500/, (_request, response) => response.writeHead(500).end('up 1\n')],
  [
    'redirects',
    /it answered 302/,
    (_r, response) => response.writeHead(302, { location: '/' }).end(),
  ],
  [
    'answers JSON',
    /"application\/json", which is no text of metrics/,
    (_request, response) => response.setHeader('Content-Type', 'application/json').end('{}'),
  ],
  [
    'has a mistake',
    /mistake in line 2: no sample/,
    (_r, response) => response.end('up 1\nup up\n'),
  ],
  ['hangs up', /hang up|ECONNRESET/, ({ socket }) => socket.destroy()],
  [
    'hangs up in the middle',
    /aborted|ECONNRESET/,
    (_request, response) => {
      response.writeHead(200, { 'Content-Length': '100' });
      response.write('up 1\n', () => response.destroy());
    },
  ],
  [
    'is too large',
    /larger than \d+ bytes/,
    (_request, response) => {
      const line = `x{a="${'y'.repeat(60_000)}"} 1\n`;
      response.end(line.repeat(appMetricsLimits.pageBytesMax / 60_000 + 1));
    },
  ],
];

for (const [what, problem, application] of broken) {
  test(`an application that ${what} hides nothing of ours`, limit, async (t) => {
    const { scrape: ask, problems } = await startMerged(t, application);
    const page = await ask({ accept: 'application/openmetrics-text' });
    assert.equal(page.type, contentTypes.openmetrics);
    assertSound(page);
    assert.match(page.text, /^tracecar_requests_total\{status="200"\} 7$/m);
    assert.match(page.text, /^tracecar_app_metrics_up 0$/m);
    assert.doesNotMatch(page.text, /^up /m);
    await ask();
    assert.equal(problems.length, 1, 'the same problem is told once');
    assert.match(problems[0]!, problem);
  });
}

test('a slow application is left before the scraper gives up', limit, async (t) => {
  const waits: number[] = [];
  let giveUp = () => {};
  const wakeUps: WakeUps = {
    after: (delayMs, call) => {
      waits.push(delayMs);
      giveUp = call;
      return () => {};
    },
  };
  const { scrape: ask, problems } = await startMerged(t, () => giveUp(), wakeUps);
  const { text } = await ask({ 'x-prometheus-scrape-timeout-seconds': '2' });
  assert.match(text, /^tracecar_app_metrics_up 0$/m);
  await ask({ 'x-prometheus-scrape-timeout-seconds': '900' });
  await ask();
  const { askTimeoutMs, patienceShare } = appMetricsLimits;
  const own = waits.filter((_, index) => index % 2 === 1);
  assert.deepEqual(own, [2_000 * patienceShare, askTimeoutMs, askTimeoutMs]);
  // And the question itself, for however many it is.
  const ofQuestions = waits.filter((_, index) => index % 2 === 0);
  assert.deepEqual(ofQuestions, [askTimeoutMs, askTimeoutMs, askTimeoutMs]);
  assert.equal(problems[0], 'no answer within 1.5 s');
});

test('the application is asked once for all who ask at the same time', limit, async (t) => {
  let asked = 0;
  const port = await startApplication(t, (_request, response) => {
    asked += 1;
    response.end('up 1\n');
  });
  const app = new AppMetrics({
    ...{ page: { port, path: '/metrics' }, address: '127.0.0.1', wakeUps: systemWakeUps },
    onProblem: assert.fail,
  });
  const answers = await Promise.all([1, 2, 3].map(() => app.ask('prometheus', 20_000)));
  assert.equal(asked, 1);
  assert.ok(answers.every((answer) => answer === answers[0] && !('problem' in answer)));
  await app.ask('prometheus', 20_000);
  assert.equal(asked, 2);
});

test(
  'who has little patience does not wait as long as others who asked before',
  limit,
  async (t) => {
    let answer = () => {};
    const asked = new Promise<void>((resolve) => {
      answer = resolve;
    });
    let asks = 0;
    const ends: (() => void)[] = [];
    const ofPatience = 1_000 * appMetricsLimits.patienceShare;
    let waits = 0;
    const wakeUps: WakeUps = {
      after: (delayMs, call) => {
        waits += 1;
        if (delayMs === ofPatience) ends.push(call);
        return () => {};
      },
    };
    const merged = await startMerged(
      t,
      (_request, response) => {
        asks += 1;
        void asked.then(() => response.end('up 1\n'));
      },
      wakeUps,
    );
    const patient = merged.scrape();
    const hurried = { 'x-prometheus-scrape-timeout-seconds': '1' };
    const first = merged.scrape(hurried);
    // Of the two, and of the question.
    await untilSo(() => waits === 3 && asks > 0, 'both to wait');
    for (const end of ends) end();
    assert.match((await first).text, /^tracecar_app_metrics_up 0$/m);
    answer();
    assert.match((await patient).text, /^up 1$/m);
    assert.equal(asks, 1);
    assert.deepEqual(merged.problems, []);
  },
);

test('what is said when it fails and works again is said once each', limit, async (t) => {
  let status = 404;
  const app: RequestListener = (_request, response) => response.writeHead(status).end('up 1\n');
  const { scrape: ask, problems } = await startMerged(t, app);
  await ask();
  await ask();
  status = 200;
  assert.match((await ask()).text, /^up 1$/m);
  await ask();
  assert.deepEqual(problems, ['it answered 404', '']);
});

test('PORT/PATH is read as the injector writes it, and nothing else is', () => {
  assert.deepEqual(readAppMetrics('8080/metrics'), { port: 8080, path: '/metrics' });
  assert.deepEqual(readAppMetrics('1/a?b=c#d'), { port: 1, path: '/a?b=c#d' });
  for (const wrong of ['', '8080', '0/metrics', '65536/x', 'http://x/y', '80/a b', '080/x']) {
    assert.ok('problem' in readAppMetrics(wrong), wrong);
  }
});
