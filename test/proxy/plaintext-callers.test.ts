/** The memory of who came without mutual TLS: bounded, and honest about what it forgot. */

import assert from 'node:assert/strict';
import { test } from 'node:test';
import { trafficLimits } from '../../src/model/limits.ts';
import { PlaintextCallers } from '../../src/proxy/scope/plaintext-callers.ts';

test('the caller that came longest ago is forgotten when there are too many, and it is said', () => {
  const max = trafficLimits.plaintextCallersMax;
  assert.equal(max, 512);
  const callers = new PlaintextCallers(max);
  for (let port = 1; port <= max; port++) callers.note('10.0.0.1', port, port);
  callers.note('10.0.0.1', 1, max + 1);
  callers.note('10.0.0.2', 1, max + 2);
  const report = callers.report();
  assert.equal(report.callers.length, max);
  assert.equal(report.forgotten, 1);
  const ports = report.callers.map(({ address, port }) => `${address} ${port}`);
  assert.ok(!ports.includes('10.0.0.1 2'), 'whose last connection was the oldest');
  assert.deepEqual(ports.slice(-2), ['10.0.0.1 1', '10.0.0.2 1']);
  assert.equal(report.callers.at(-2)!.connections, 2);
});
