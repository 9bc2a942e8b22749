/**
 * `/api/view/search` and `/api/view/services`: what the page's list is made of.
 */

import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';
import type { SearchAnswer, ServicesAnswer, StatusAnswer } from '../../src/viewer/view-answers.ts';
import { demoTrace, exportBody, type SpanFixture, sendSpans } from './span-fixtures.ts';
import { startViewer } from './viewer-fixture.ts';

const viewer = await startViewer();
after(() => viewer.close());

const startMs = 1_795_627_913_000;
const ids = [1, 2, 3].map((n) => `${'0'.repeat(31)}${n}`);

before(async () => {
  for (const [index, traceId] of ids.entries()) {
    const spans = demoTrace(traceId, startMs + index * 1000).map(
      (span): SpanFixture => ({
        ...span,
        durationMs: span.durationMs * (index + 1),
        ...(index === 2 && span.service === 'ratings'
          ? {
              isError: true,
              attributes: { 'error.type': 'connect-refused', note: 'a "b" = c', half: 0.5 },
            }
          : {}),
      }),
    );
    assert.equal((await sendSpans(viewer.otlp, exportBody(spans))).status, 200);
  }
});

async function ask(path: string): Promise<{ readonly status: number; readonly body: unknown }> {
  const response = await fetch(`${viewer.query}/api/view/${path}`);
  return { status: response.status, body: await response.json() };
}

async function search(parameters: Readonly<Record<string, string>> = {}): Promise<SearchAnswer> {
  const { status, body } = await ask(`search?${new URLSearchParams(parameters)}`);
  assert.equal(status, 200, JSON.stringify(body));
  return body as SearchAnswer;
}

async function found(parameters: Readonly<Record<string, string>>): Promise<string[]> {
  return (await search(parameters)).traces.map(({ id }) => id);
}

test('the newest trace comes first, with what a list shows', async () => {
  const { traces, more } = await search();
  assert.deepEqual(
    traces.map(({ id }) => id),
    ids.toReversed(),
  );
  assert.equal(more, false);
  assert.deepEqual(traces[0], {
    id: ids[2],
    service: 'web',
    name: 'GET /productpage',
    startUs: (startMs + 2000) * 1000,
    durationUs: 6930,
    spans: 5,
    errors: 1,
    services: [
      { service: 'web', spans: 2 },
      { service: 'reviews', spans: 2 },
      { service: 'ratings', spans: 1 },
    ],
    hasRoot: true,
  });
});

test('pages follow each other without gap or repetition', async () => {
  const first = await search({ limit: '2' });
  assert.deepEqual([first.traces.length, first.more], [2, true]);
  const second = await search({ limit: '2', before: String(first.next) });
  assert.deepEqual(
    second.traces.map(({ id }) => id),
    [ids[0]],
  );
  assert.equal(second.more, false);
});

test('a trace without its root is named by its earliest span', async () => {
  const traceId = 'f'.repeat(32);
  const spans = demoTrace(traceId, startMs).slice(1).reverse();
  const other = await startViewer();
  try {
    await sendSpans(other.otlp, exportBody(spans));
    const { traces } = (await (
      await fetch(`${other.query}/api/view/search`)
    ).json()) as SearchAnswer;
    assert.deepEqual(
      traces.map(({ service, name, hasRoot }) => [service, name, hasRoot]),
      [['web', 'GET', false]],
    );
  } finally {
    await other.close();
  }
});

test('conditions are met by one span, but for the error, which is the trace’s', async () => {
  assert.deepEqual(await found({ service: 'nobody' }), []);
  assert.deepEqual(await found({ service: 'web', operation: 'GET /ratings' }), []);
  assert.deepEqual(await found({ service: 'ratings', operation: 'GET /ratings', max: '1.2ms' }), [
    ids[1],
    ids[0],
  ]);
  assert.deepEqual(await found({ service: 'web', min: '6ms' }), [ids[2]]);
  assert.deepEqual(await found({ service: 'web', error: 'true' }), [ids[2]]);
  assert.deepEqual(await found({ service: 'web', tags: 'error=true' }), []);
});

test('tags are found by text, quoted where they must be', async () => {
  assert.deepEqual(await found({ tags: 'error=true error.type=connect-refused' }), [ids[2]]);
  assert.deepEqual(await found({ tags: 'error=false error.type=connect-refused' }), []);
  assert.deepEqual(await found({ tags: String.raw`"note"="a \"b\" = c" half=0.5` }), [ids[2]]);
  assert.equal((await found({ tags: 'tracecar.weight=60 tracecar.subset=v1' })).length, 3);
  assert.deepEqual(await found({ tags: 'tracecar.weight=6' }), []);
  assert.equal((await found({ tags: 'service.name=web span.kind=server' })).length, 3);
  assert.equal((await found({ tags: 'resource.service.name=web scope.name=Tracecar' })).length, 3);
  assert.deepEqual(await found({ tags: 'resource.tracecar.weight=60' }), []);
  assert.deepEqual(await found({ tags: 'span.kind=producer' }), []);
  assert.deepEqual(await found({ tags: 'span.kind=nonsense' }), []);
  assert.deepEqual(await found({ tags: 'span.status=ok' }), []);
});

test('of many attributes every one counts', async () => {
  const attributes = Object.fromEntries(Array.from({ length: 60 }, (_, n) => [`k${n}`, `${n}`]));
  const other = await startViewer();
  try {
    const span = { ...demoTrace('e'.repeat(32), startMs)[0]!, attributes };
    await sendSpans(other.otlp, exportBody([span]));
    const count = async (wanted: Readonly<Record<string, string>>): Promise<number> => {
      const parameters = new URLSearchParams({
        'query.start_time_min': '2026-01-01T00:00:00Z',
        'query.start_time_max': '2027-01-01T00:00:00Z',
        'query.attributes': JSON.stringify(wanted),
      });
      return (await fetch(`${other.query}/api/v3/traces?${parameters}`)).status;
    };
    assert.equal(await count(attributes), 200);
    assert.equal(await count({ ...attributes, k59: 'other' }), 404);
    assert.equal(await count({ ...attributes, k0: 'other' }), 404);
  } finally {
    await other.close();
  }
});

test('a mistake is 400 and names the parameter', async () => {
  for (const [query, message] of [
    ['limit=0', /^limit is a whole number from 1 to 1000, not '0'/],
    ['before=x', /^before is /],
    ['min=2', /^min is a duration such as 1\.5ms/],
    ['error=maybe', /^error is true or false/],
    ['tags=word', /^tags are words such as .* not 'word'/],
    [`tags=${encodeURIComponent('a="b')}`, /^tags are words/],
    [
      `tags=${encodeURIComponent('a=1 '.repeat(40).replace(/a/g, () => `k${unique++}`))}`,
      /at most 32/,
    ],
  ] as const) {
    const { status, body } = await ask(`search?${query}`);
    assert.equal(status, 400, query);
    assert.match((body as { error: { message: string } }).error.message, message);
  }
  assert.equal((await ask('nothing')).status, 404);
});

let unique = 0;

test('the form offers services with the names of their spans', async () => {
  const { body } = await ask('services');
  assert.deepEqual(body as ServicesAnswer, {
    services: [
      { service: 'ratings', operations: ['GET /ratings'] },
      { service: 'reviews', operations: ['GET', 'GET /reviews/{id}'] },
      { service: 'web', operations: ['GET', 'GET /productpage'] },
    ],
  });
});

test('the status says what is stored', async () => {
  const { body } = await ask('status');
  const { store, receiver } = body as StatusAnswer;
  assert.deepEqual([store.traces, store.spans, store.file], [3, 15, '']);
  assert.equal(receiver.acceptedSpans, 15);
});
