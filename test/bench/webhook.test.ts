import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';
import {
  printWebhookReport,
  publishedWebhookResult,
  withWebhookSection,
} from '../../bench/webhook-report.ts';

test("the README's table of the webhook is the published result's, and nobody's typing", () => {
  const text = readFileSync(join(import.meta.dirname, '../../bench/README.md'), 'utf8');
  const drawn = withWebhookSection(text, publishedWebhookResult());
  assert.equal(text, drawn, 'run: node bench/webhook-report.ts --readme');
});

test('a row that others disturbed is dropped and counted', () => {
  const result = publishedWebhookResult();
  const spoilt = (row: (typeof result.rows)[number]) =>
    row.load === 'bursts'
      ? { ...row, stolenUs: row.wallUs }
      : { ...row, foreignUs: 0, stolenUs: 0 };
  const text = printWebhookReport({ ...result, rows: result.rows.map(spoilt) });
  assert.match(text, new RegExp(`${result.rows.length / 3} of ${result.rows.length} rows dropped`));
  assert.match(text, /^spans +bursts +- +- /m);
  assert.match(text, /^spans +closed loop +\d+ /m);
});

test('a README without the marks of the drawn part is an error', () => {
  assert.throws(() => withWebhookSection('# Bench\n', publishedWebhookResult()), /lost the/);
});
