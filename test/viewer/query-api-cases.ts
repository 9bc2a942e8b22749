/**
 * What the query API v3 and what is left of the older one answer, as cases that run against any server by its addresses: our viewer
 * (query-api.test.ts) and a real Jaeger 2 (test/peers/viewer/query-api.test.ts).
 *
 * Each run uses ids and service names of its own, so that a server with other traces is no trouble.
 */

import assert from 'node:assert/strict';
import { randomBytes } from 'node:crypto';
import { before, test } from 'node:test';
import { demoTrace, exportBody, type SpanFixture, sendSpans } from './span-fixtures.ts';

interface Addresses {
  /** `http://127.0.0.1:4318` */
  readonly otlp: string;
  /** `http://127.0.0.1:16686` */
  readonly query: string;
}

interface ApiSpan {
  readonly traceId: string;
  readonly spanId: string;
  readonly parentSpanId?: string;
  readonly name: string;
  readonly kind?: number;
  readonly startTimeUnixNano: string;
  readonly endTimeUnixNano: string;
  readonly attributes?: readonly { readonly key: string; readonly value: unknown }[];
  readonly events?: unknown;
  readonly links?: unknown;
  readonly status: unknown;
}

/** Registers the tests. `addresses` is asked once, before the first. */
export function queryApiTests(addresses: () => Promise<Addresses>): void {
  const run = randomBytes(4).toString('hex');
  const service = (name: string): string => `${name}-${run}`;
  const traceIds = [1, 2, 3].map((n) => `${run}${'0'.repeat(22)}${n}a`);
  const startMs = Math.floor(Date.now() / 1000) * 1000 - 60_000;
  let query = '';
  let otlp = '';

  async function get(path: string): Promise<{ status: number; body: never }> {
    const response = await fetch(query + path);
    return { status: response.status, body: JSON.parse(await response.text()) as never };
  }

  /** Waits for what Jaeger stores after it has answered. */
  async function untilStored(traceId: string, spans: number): Promise<void> {
    for (let tries = 0; tries < 2_000; tries++) {
      const { status, body } = await get(`/api/v3/traces/${traceId}`);
      if (status === 200 && spansOf(body).length === spans) return;
    }
    assert.fail(`${traceId} is never stored`);
  }

  function search(parameters: Readonly<Record<string, string>>) {
    const all = {
      'query.start_time_min': new Date(startMs - 3_600_000).toISOString(),
      'query.start_time_max': new Date(startMs + 3_600_000).toISOString(),
      'query.num_traces': '20',
      ...parameters,
    };
    return get(`/api/v3/traces?${new URLSearchParams(all)}`);
  }

  async function searchIds(parameters: Readonly<Record<string, string>>): Promise<string[]> {
    const { status, body } = await search(parameters);
    if (status === 404) return [];
    return [...new Set(spansOf(body).map((span) => span.traceId))].sort();
  }

  before(async () => {
    ({ otlp, query } = await addresses());
    for (const [index, traceId] of traceIds.entries()) {
      const spans = demoTrace(traceId, startMs + index * 1000).map(
        (span): SpanFixture => ({
          ...span,
          service: service(span.service),
          durationMs: span.durationMs * (index + 1),
          ...(index === 2 && span.service === 'ratings'
            ? { isError: true, attributes: { 'error.type': 'connect-refused' } }
            : {}),
        }),
      );
      const response = await sendSpans(otlp, exportBody(spans), index === 1);
      assert.equal(response.status, 200);
      assert.deepEqual(await response.json(), { partialSuccess: {} });
      await untilStored(traceId, spans.length);
    }
  });

  test('services are listed by name', async () => {
    const { status, body } = await get('/api/v3/services');
    assert.equal(status, 200);
    const ours = (body as { services: string[] }).services.filter((each) => each.endsWith(run));
    assert.deepEqual(ours.sort(), [service('ratings'), service('reviews'), service('web')]);
  });

  test('operations are listed with their kind, and by kind', async () => {
    const all = await get(`/api/v3/operations?service=${service('web')}`);
    assert.deepEqual(sortedOperations(all.body), [
      { name: 'GET', spanKind: 'client' },
      { name: 'GET /productpage', spanKind: 'server' },
    ]);
    const servers = await get(`/api/v3/operations?service=${service('web')}&span_kind=server`);
    assert.deepEqual(sortedOperations(servers.body), [
      { name: 'GET /productpage', spanKind: 'server' },
    ]);
  });

  test('a service that nobody has sent has no operations', async () => {
    assert.deepEqual(await get('/api/v3/operations?service=nobody'), {
      status: 200,
      body: { operations: [] },
    });
  });

  test('a trace by id is OTLP JSON: hex ids, numeric kinds, 64-bit numbers as texts', async () => {
    const { status, body } = await get(`/api/v3/traces/${traceIds[0]}`);
    assert.equal(status, 200);
    const spans = spansOf(body);
    assert.equal(spans.length, 5);
    const client = spans.find((span) => span.spanId === '00000000000000a2')!;
    assert.equal(client.traceId, traceIds[0]);
    assert.equal(client.parentSpanId, '00000000000000a1');
    assert.equal(client.kind, 3);
    assert.equal(client.name, 'GET');
    assert.equal(client.startTimeUnixNano, `${startMs}120000`);
    assert.equal(client.endTimeUnixNano, `${BigInt(startMs) * 1_000_000n + 2_130_000n}`);
    assert.deepEqual(client.status, {});
    assert.deepEqual(attributesOf(client), {
      'http.response.status_code': { intValue: '200' },
      'service.peer.name': { stringValue: 'reviews' },
      'tracecar.direction': { stringValue: 'outbound' },
      'tracecar.subset': { stringValue: 'v1' },
      'tracecar.time.proxy_us': { intValue: '11' },
      'tracecar.weight': { intValue: '60' },
    });
    const root = spans.find((span) => span.spanId === '00000000000000a1')!;
    assert.ok(!('parentSpanId' in root));
  });

  test('resource and scope come with their spans', async () => {
    const { body } = await get(`/api/v3/traces/${traceIds[0]}`);
    const entries = (body as { result: { resourceSpans: never[] } }).result.resourceSpans;
    const names = entries.map(
      (entry: { resource: unknown; scopeSpans: readonly { scope: unknown }[] }) => {
        assert.deepEqual(entry.scopeSpans[0]!.scope, { name: 'tracecar', version: '0.1.0' });
        return JSON.stringify(entry.resource);
      },
    );
    for (const name of ['web', 'reviews', 'ratings']) {
      const wanted = JSON.stringify({
        attributes: [{ key: 'service.name', value: { stringValue: service(name) } }],
      });
      assert.ok(names.includes(wanted), wanted);
    }
  });

  test('every kind of value, an event, a link and a status survive the way', async () => {
    const traceId = `${run}${'0'.repeat(22)}ff`;
    const span = {
      traceId,
      spanId: '00000000000000b1',
      traceState: 'ot=th:0',
      flags: 1,
      name: 'values',
      kind: 5,
      startTimeUnixNano: `${startMs}000000`,
      endTimeUnixNano: `${startMs}000999`,
      attributes: [
        { key: 'array', value: { arrayValue: { values: [{ stringValue: 'NR' }, {}] } } },
        { key: 'bool', value: { boolValue: false } },
        { key: 'bytes', value: { bytesValue: 'AAEC' } },
        { key: 'double', value: { doubleValue: 0.25 } },
        { key: 'empty', value: { stringValue: '' } },
        { key: 'int', value: { intValue: '-9007199254740993' } },
        { key: 'kv', value: { kvlistValue: { values: [{ key: 'a', value: { intValue: '1' } }] } } },
        { key: 'text', value: { stringValue: 'Zürich "日本" \u2028 \\' } },
      ],
      droppedAttributesCount: 2,
      events: [{ timeUnixNano: `${startMs}000001`, name: 'ev', droppedAttributesCount: 1 }],
      droppedEventsCount: 3,
      links: [{ traceId: traceIds[0], spanId: '00000000000000a1', flags: 1 }],
      droppedLinksCount: 4,
      status: { message: 'bad', code: 2 },
    };
    const resource = {
      attributes: [{ key: 'service.name', value: { stringValue: service('values') } }],
    };
    const scopeSpans = [{ scope: {}, spans: [span] }];
    const sent = { resourceSpans: [{ resource, scopeSpans }] };
    assert.equal((await sendSpans(otlp, sent)).status, 200);
    await untilStored(traceId, 1);
    const { body } = await get(`/api/v3/traces/${traceId}`);
    assert.deepEqual(spansOf(body)[0], span);
  });

  test('an id may be upper-case, and short when it begins with zeros', async () => {
    assert.equal((await get(`/api/v3/traces/${traceIds[0]!.toUpperCase()}`)).status, 200);
    assert.equal((await get('/api/v3/traces/abc')).status, 404);
  });

  test('a trace that is not there is 404 with the error shape', async () => {
    assert.deepEqual(await get(`/api/v3/traces/${'f'.repeat(32)}`), {
      status: 404,
      body: { error: { httpCode: 404, message: 'No traces found' } },
    });
  });

  test('a malformed id is 400 and the message names the parameter', async () => {
    const { status, body } = await get('/api/v3/traces/xyz');
    assert.equal(status, 400);
    const { error } = body as { error: { httpCode: number; message: string } };
    assert.equal(error.httpCode, 400);
    assert.match(error.message, /^malformed parameter trace_id: /);
  });

  test('a search by service finds its traces', async () => {
    assert.deepEqual(await searchIds({ 'query.service_name': service('web') }), traceIds);
    assert.deepEqual(await searchIds({ 'query.service_name': 'nobody' }), []);
  });

  test('a search by operation, time and duration needs one span that meets them all', async () => {
    const web = { 'query.service_name': service('web') };
    const operation = { ...web, 'query.operation_name': 'GET /productpage' };
    assert.deepEqual(await searchIds(operation), traceIds);
    assert.deepEqual(await searchIds({ ...web, 'query.operation_name': 'GET /ratings' }), []);
    const late = { 'query.start_time_min': new Date(startMs + 500).toISOString() };
    assert.deepEqual(await searchIds({ ...operation, ...late }), traceIds.slice(1));
    const early = { 'query.start_time_max': new Date(startMs + 500).toISOString() };
    assert.deepEqual(await searchIds({ ...operation, ...early }), traceIds.slice(0, 1));
    const long = { 'query.duration_min': '3ms' };
    assert.deepEqual(await searchIds({ ...operation, ...long }), traceIds.slice(1));
    const short = { 'query.duration_max': '2310us' };
    assert.deepEqual(await searchIds({ ...operation, ...short }), traceIds.slice(0, 1));
    assert.deepEqual(await searchIds({ ...operation, 'query.duration_min': '1h2m' }), []);
  });

  test('a search takes as many traces as it is asked for, whole ones', async () => {
    const parameters = { 'query.service_name': service('web'), 'query.num_traces': '2' };
    const { body } = await search(parameters);
    assert.equal(new Set(spansOf(body).map((span) => span.traceId)).size, 2);
    assert.equal(spansOf(body).length, 10);
  });

  olderApiTests();

  function olderApiTests(): void {
    const listed = (data: unknown, total: number) => ({
      status: 200,
      body: { data, total, limit: 0, offset: 0, errors: null },
    });

    test('the older API lists services and operations', async () => {
      const { status, body } = await get('/api/services');
      assert.equal(status, 200);
      const { data, total } = body as { data: string[]; total: number };
      assert.equal(total, data.length);
      assert.ok(data.includes(service('web')));
      const web = await get(`/api/services/${service('web')}/operations`);
      (web.body as { data: string[] }).data.sort();
      assert.deepEqual(web, listed(['GET', 'GET /productpage'], 2));
      const servers = `/api/operations?service=${service('web')}&spanKind=server`;
      assert.deepEqual(
        await get(servers),
        listed([{ name: 'GET /productpage', spanKind: 'server' }], 1),
      );
      assert.deepEqual(await get('/api/services/nobody/operations'), listed(null, 0));
    });

    test('the older API answers a trace with tags, references and processes', async () => {
      const { status, body } = await get(`/api/traces/${traceIds[2]}`);
      assert.equal(status, 200);
      const { data, ...rest } = body as { data: { spans: unknown[]; processes: unknown }[] };
      assert.deepEqual(rest, { total: 0, limit: 0, offset: 0, errors: null });
      const [trace] = data as unknown as readonly [
        {
          traceID: string;
          spans: { spanID: string; processID: string }[];
          processes: Record<string, unknown>;
        },
      ];
      assert.equal(trace.traceID, traceIds[2]);
      assert.equal(trace.spans.length, 5);
      const { processID, ...span } = trace.spans.find(
        (each) => each.spanID === '00000000000000a5',
      )!;
      assert.deepEqual(trace.processes[processID], { serviceName: service('ratings'), tags: [] });
      const text = (key: string, value: string) => ({ key, type: 'string', value });
      assert.deepEqual(span, {
        traceID: traceIds[2],
        spanID: '00000000000000a5',
        operationName: 'GET /ratings',
        references: [{ refType: 'CHILD_OF', traceID: traceIds[2], spanID: '00000000000000a4' }],
        startTime: (startMs + 2000) * 1000 + 700,
        duration: 1500,
        tags: [
          { key: 'error', type: 'bool', value: true },
          text('error.type', 'connect-refused'),
          text('otel.scope.name', 'tracecar'),
          text('otel.scope.version', '0.1.0'),
          text('otel.status_code', 'ERROR'),
          text('span.kind', 'server'),
        ],
        logs: [],
        warnings: null,
      });
    });

    test('in the older API every kind of value, an event and a link have their form', async () => {
      const { body } = await get(`/api/traces/${run}${'0'.repeat(22)}ff`);
      const [span] = (body as { data: { spans: Record<string, unknown>[] }[] }).data[0]!.spans;
      const { tags, logs, references } = span as {
        tags: { key: string; type: string; value: unknown }[];
        logs: unknown;
        references: unknown;
      };
      assert.deepEqual(
        tags.filter(({ key }) => !key.startsWith('otel.') && key !== 'int'),
        [
          { key: 'array', type: 'string', value: '["NR",null]' },
          { key: 'bool', type: 'bool', value: false },
          { key: 'bytes', type: 'binary', value: 'AAEC' },
          { key: 'double', type: 'float64', value: 0.25 },
          { key: 'empty', type: 'string', value: '' },
          { key: 'error', type: 'bool', value: true },
          { key: 'kv', type: 'string', value: '{"a":1}' },
          { key: 'span.kind', type: 'string', value: 'consumer' },
          { key: 'text', type: 'string', value: 'Zürich "日本" \u2028 \\' },
          { key: 'w3c.tracestate', type: 'string', value: 'ot=th:0' },
        ],
      );
      assert.deepEqual(logs, [
        { timestamp: startMs * 1000, fields: [{ key: 'event', type: 'string', value: 'ev' }] },
      ]);
      assert.deepEqual(references, [
        { refType: 'FOLLOWS_FROM', traceID: traceIds[0], spanID: '00000000000000a1' },
      ]);
    });

    test('in the older API a trace that is not there is 404, a malformed id 400', async () => {
      for (const [id, code] of [
        ['f'.repeat(32), 404],
        ['xyz', 400],
      ] as const) {
        const { status, body } = await get(`/api/traces/${id}`);
        assert.equal(status, code);
        const { data, errors } = body as { data: unknown; errors: { code: number }[] };
        assert.deepEqual([data, errors[0]!.code], [null, code]);
      }
    });

    test('the older API searches by service, operation, time, duration and tags', async () => {
      const ids = async (parameters: Readonly<Record<string, string>>): Promise<string[]> => {
        const all = new URLSearchParams({ service: service('web'), ...parameters });
        const { status, body } = await get(`/api/traces?${all}`);
        assert.equal(status, 200);
        return (body as { data: { traceID: string }[] }).data
          .map(({ traceID }) => traceID)
          .filter((id) => traceIds.includes(id))
          .sort();
      };
      assert.deepEqual(await ids({}), traceIds);
      assert.equal((await ids({ limit: '2' })).length, 2);
      assert.deepEqual(await ids({ service: 'nobody' }), []);
      const end = String((startMs + 500) * 1000);
      assert.deepEqual(await ids({ start: String(startMs * 1000), end }), traceIds.slice(0, 1));
      assert.deepEqual(await ids({ operation: 'GET', minDuration: '6ms' }), traceIds.slice(2));
      assert.deepEqual(
        await ids({ operation: 'GET', maxDuration: '2010us' }),
        traceIds.slice(0, 1),
      );
      assert.deepEqual(await ids({ tags: '{"tracecar.subset":"v1"}' }), traceIds);
      assert.deepEqual(await ids({ tags: '{"tracecar.subset":"v2"}' }), []);
      assert.deepEqual(await ids({ tag: 'tracecar.weight:60' }), traceIds);
      const ratings = { service: service('ratings'), tags: '{"error.type":"connect-refused"}' };
      assert.deepEqual(await ids(ratings), traceIds.slice(2));
      const both = await get(`/api/traces?traceID=${traceIds[0]}&traceID=${traceIds[1]}`);
      assert.equal((both.body as { data: unknown[] }).data.length, 2);
    });

    test('in the older API a mistake in a search is 400', async () => {
      const web = `service=${service('web')}`;
      for (const query of [
        '',
        `${web}&limit=x`,
        `${web}&start=x`,
        `${web}&end=x`,
        `${web}&minDuration=2`,
        `${web}&minDuration=3ms&maxDuration=2ms`,
        `${web}&tags=${encodeURIComponent('{"a":1}')}`,
        `${web}&tag=word`,
      ]) {
        const { status, body } = await get(`/api/traces?${query}`);
        assert.equal(status, 400, query);
        const { data, errors } = body as { data: unknown; errors: { code: number }[] };
        assert.deepEqual([data, errors[0]!.code], [null, 400]);
      }
    });

    test('dependencies count the calls between services in a time', async () => {
      const ours = async (parameters: Readonly<Record<string, string>>) => {
        const { status, body } = await get(`/api/dependencies?${new URLSearchParams(parameters)}`);
        assert.equal(status, 200);
        const { data } = body as { data: { parent: string; child: string }[] };
        return (data ?? [])
          .filter(({ parent, child }) => parent.endsWith(run) && parent !== child)
          .sort((one, other) => (one.parent < other.parent ? -1 : 1));
      };
      const pairs = [
        { parent: service('reviews'), child: service('ratings'), callCount: 3 },
        { parent: service('web'), child: service('reviews'), callCount: 3 },
      ];
      const endTs = String(startMs + 60_000);
      assert.deepEqual(await ours({ endTs, lookback: '3600000' }), pairs);
      assert.deepEqual(await ours({ endTs: String(startMs - 3_600_000), lookback: '1000' }), []);
      assert.equal((await get('/api/dependencies?endTs=x&lookback=1')).status, 400);
    });
  }

  test('a search without a time range is 400', async () => {
    assert.deepEqual(await get('/api/v3/traces?query.service_name=web'), {
      status: 400,
      body: {
        error: {
          httpCode: 400,
          message: 'query.start_time_min and query.start_time_max are required',
        },
      },
    });
  });

  test('a malformed parameter is 400 and named', async () => {
    for (const [name, value] of [
      ['query.start_time_min', 'NaN'],
      ['query.start_time_max', '2026-13-01T00:00:00Z'],
      ['query.duration_min', '2'],
      ['query.duration_max', 'long'],
      ['query.num_traces', 'many'],
    ] as const) {
      const { status, body } = await search({ [name]: value });
      assert.equal(status, 400, name);
      const { message } = (body as { error: { message: string } }).error;
      assert.ok(message.startsWith(`malformed parameter ${name}: `), message);
    }
  });
}

export function spansOf(body: unknown): ApiSpan[] {
  const { result } = body as {
    result: { resourceSpans: { scopeSpans: { spans: ApiSpan[] }[] }[] };
  };
  return result.resourceSpans.flatMap((entry) => entry.scopeSpans.flatMap(({ spans }) => spans));
}

function attributesOf(span: ApiSpan): Record<string, unknown> {
  return Object.fromEntries((span.attributes ?? []).map(({ key, value }) => [key, value]));
}

function sortedOperations(body: unknown): { name: string }[] {
  const { operations } = body as { operations: { name: string }[] };
  return operations.sort((one, other) => (one.name < other.name ? -1 : 1));
}
