/**
 * docs/causes.md is made from the table of failures: every cause, its status and what to look at next.
 */

import assert from 'node:assert/strict';
import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';
import { type FailureSide, failures, type RetryRule } from '../../src/model/failure.ts';
import { MetricRegistry } from '../../src/telemetry/metrics/metrics.ts';
import { renderPrometheus } from '../../src/telemetry/metrics/prometheus.ts';

const page = join(import.meta.dirname, '../../docs/causes.md');

const sides: Readonly<Record<FailureSide, string>> = {
  downstream: 'What the downstream sent or did',
  policy: 'What the configuration or a limit says',
  upstream: 'What the endpoint sent or did',
  internal: 'This proxy itself',
};

const retries: Readonly<Record<RetryRule, string>> = {
  never: 'no',
  unsent: 'if nothing was sent yet',
  idempotent: 'if the method allows it',
};

function causesPage(): string {
  const parts = (Object.keys(sides) as FailureSide[]).map((side) => {
    const rows = failures
      .filter((each) => each.side === side)
      .map(({ cause, httpStatus, flag, retry, sentence }) => {
        const cells = [`\`${cause}\``, httpStatus, flag, retries[retry], sentence];
        return `| ${cells.map((cell) => String(cell).replaceAll('|', '\\|')).join(' | ')} |`;
      });
    return `## ${sides[side]}

| cause | status | flag | sent again | what it means, what to look at next |
| --- | --- | --- | --- | --- |
${rows.join('\n')}
`;
  });
  return `# Causes: why a request failed

<!-- Made from src/model/failure.ts: UPDATE_GOLDEN=1 node --test test/telemetry/causes-page.test.ts -->

The same word is in the header \`x-tracecar-cause\` of a reply that this proxy made, in the spans
(\`tracecar.cause\`; \`error.type\` when nothing was received), in the label \`cause\` of the metric
\`tracecar_request_failures_total\`, for connections that are not read
\`tracecar_connection_failures_total\`, and in the access log. The status is what the downstream gets
when no response has begun; later its connection is cut, and one that is not read is reset. The flag
is the closest of Envoy's.

${parts.join('\n')}`;
}

test('docs/causes.md is made from the table', () => {
  if (process.env.UPDATE_GOLDEN === '1') writeFileSync(page, causesPage());
  assert.equal(readFileSync(page, 'utf8'), causesPage());
});

test('every failure is on the page once', () => {
  const text = causesPage();
  for (const { cause } of failures) {
    assert.equal(text.split(`| \`${cause}\` |`).length, 2, cause);
  }
});

test('the metrics of failures say where the causes are explained', () => {
  const text = renderPrometheus(new MetricRegistry());
  assert.match(text, /# HELP tracecar_request_failures_total .*see docs\/causes\.md\.\n/);
  assert.match(text, /# HELP tracecar_connection_failures_total .*see docs\/causes\.md\.\n/);
});
