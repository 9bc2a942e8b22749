/**
 * docs/spans.md has every attribute that spans can have, with its type, and no other.
 */

import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';
import { sampledByWords } from '../../src/telemetry/record/exchange-record.ts';
import { spanKeys } from '../../src/telemetry/span/span-keys.ts';

const page = readFileSync(join(import.meta.dirname, '../../docs/spans.md'), 'utf8');

test('the page of spans lists the attributes of the table with their types', () => {
  const rows = [...page.matchAll(/^\| `([a-z0-9._]+)` \| (\w+) \|/gm)].map(([, key, type]) => [
    key,
    type,
  ]);
  assert.deepEqual(rows.toSorted(), Object.entries(spanKeys).toSorted());
});

test('the page of spans explains every reason to export', () => {
  for (const word of sampledByWords) {
    if (word !== undefined) assert.ok(page.includes(`\`${word}\``), word);
  }
});
