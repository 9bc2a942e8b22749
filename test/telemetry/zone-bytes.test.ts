/**
 * Bytes by zone: what is requested goes one way, what is answered the other, and zones are bounded.
 */

import assert from 'node:assert/strict';
import { test } from 'node:test';
import { MetricRegistry } from '../../src/telemetry/metrics/metrics.ts';
import { renderPrometheus } from '../../src/telemetry/metrics/prometheus.ts';
import { ZoneTable, zoneFlows } from '../../src/telemetry/metrics/zone-bytes.ts';
import { readPage } from './metric-page.ts';

test('the page has one counter for each way between two zones', () => {
  const registry = new MetricRegistry(10, undefined, 10, 'eu-1a');
  registry.zones.outbound('eu-1b').add(100, 7_000);
  registry.zones.outbound('eu-1a').add(1, 2);
  registry.zones.outbound('').add(0, 5);
  registry.zones.inbound.add(30, 40);
  const { samples } = readPage(renderPrometheus(registry));
  const found = [...samples].filter(([key]) => key.startsWith('tracecar_bytes_total'));
  const flow = (direction: string, source: string, destination: string) =>
    `tracecar_bytes_total{direction="${direction}",source_zone="${source}",destination_zone="${destination}"}`;
  assert.deepEqual(Object.fromEntries(found), {
    [flow('inbound', '', 'eu-1a')]: 30,
    [flow('inbound', 'eu-1a', '')]: 40,
    [flow('outbound', 'eu-1a', 'eu-1b')]: 100,
    [flow('outbound', 'eu-1b', 'eu-1a')]: 7_000,
    [flow('outbound', 'eu-1a', 'eu-1a')]: 3,
    [flow('outbound', 'eu-1a', '')]: 0,
    [flow('outbound', '', 'eu-1a')]: 5,
  });
});

test('a zone is one object, and zones over the limit are one', () => {
  const zones = new ZoneTable('a', 3);
  assert.equal(zones.outbound('b'), zones.outbound('b'));
  for (let index = 0; index < 100; index++) zones.outbound(`zone-${index}`).add(1, 0);
  const flows = zoneFlows(zones.all()).filter(({ bytes }) => bytes > 0);
  assert.deepEqual(
    flows.map(({ destination, bytes }) => [destination, bytes]),
    [
      ['zone-0', 1],
      ['zone-1', 1],
      ['other', 98],
    ],
  );
});
