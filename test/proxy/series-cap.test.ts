/**
 * O14 of reference/reliability.md: ten thousand hosts, paths and users, and an upstream that answers every
 * status there is. Labels come from configuration, so nothing of it makes a series.
 */

import assert from 'node:assert/strict';
import { Agent, createServer, request } from 'node:http';
import type { AddressInfo } from 'node:net';
import { type TestContext, test } from 'node:test';
import { telemetryLimits } from '../../src/model/telemetry-limits.ts';
import { renderPrometheus } from '../../src/telemetry/metrics/prometheus.ts';
import { startProxy } from '../support/proxy-fixture.ts';
import { clusterOf, listenerOf, ruleOf, tableOf } from '../support/tables.ts';
import { readPage, sumOf } from '../telemetry/metric-page.ts';

const requests = 10_000;
const connections = 10;
const methods = ['GET', 'PUT', 'DELETE', 'OPTIONS', 'PATCH', 'QUERY'];

/** Answers 200 to 599 by turns. */
async function startOrigin(t: TestContext): Promise<number> {
  let answered = 0;
  const origin = createServer((_, response) => {
    response.writeHead(200 + (answered++ % 400), { 'content-length': 0 }).end();
  });
  t.after(() => {
    origin.closeAllConnections();
    origin.close();
  });
  await new Promise<void>((resolve) => origin.listen(0, '127.0.0.1', resolve));
  return (origin.address() as AddressInfo).port;
}

function ask(port: number, agent: Agent, index: number): Promise<void> {
  const token = `secret-${index}`;
  return new Promise((resolve, reject) => {
    const sent = request({
      ...{ host: '127.0.0.1', port, agent, method: methods[index % methods.length] },
      path: `/path-${index}/item?user=user-${index}`,
      headers: {
        host: `host-${index}.example:${1 + (index % 65_535)}`,
        'content-length': 0,
        'user-agent': `agent-${index}`,
        cookie: `user=${token}`,
        authorization: `Basic ${token}`,
      },
    });
    sent.on('response', (response) => response.on('end', resolve).resume());
    sent.on('error', reject).end();
  });
}

test('O14: ten thousand hosts, paths and users make no series, and statuses few', async (t) => {
  const cluster = clusterOf([await startOrigin(t)]);
  const listener = listenerOf([ruleOf()], { direction: 'outbound' });
  const { telemetry, port } = await startProxy(t, { table: tableOf([listener], [cluster]) });
  const agent = new Agent({ keepAlive: true, maxSockets: connections });
  t.after(() => agent.destroy());
  await Promise.all(Array.from({ length: requests }, (_, index) => ask(port, agent, index)));
  await telemetry.recorded(requests);
  assert.equal(
    telemetry.metrics.allSeries().filter(({ cells }) => [...cells].length > 0).length,
    1,
  );
  const text = renderPrometheus(telemetry.metrics);
  assert.doesNotMatch(text, /host-|path-|user-|agent-|secret-/);
  const page = readPage(text);
  assert.equal(sumOf(page, 'tracecar_requests_total'), requests);
  assert.equal(sumOf(page, 'http_client_request_duration_seconds_count'), requests);
  assert.equal(sumOf(page, 'istio_requests_total'), requests);
  assert.equal(sumOf(page, 'traces_span_metrics_calls_total'), requests);
  const seriesOf = (name: string) =>
    [...page.samples.keys()].filter((key) => key.startsWith(`${name}{`)).length;
  const { metricCellsPerSeriesMax: most } = telemetryLimits;
  assert.equal(seriesOf('http_client_request_duration_seconds_count'), most + 1);
  assert.ok(seriesOf('istio_requests_total') <= most + 1);
  // 59 that IANA lists of those, some that it does not, and the rest together.
  assert.equal(seriesOf('tracecar_requests_total'), 59 + telemetryLimits.metricOddStatusesMax + 1);
  assert.ok(telemetry.names.size < 10, telemetry.names.names().join(' '));
});
