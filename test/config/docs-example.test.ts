/** The example of docs/kubernetes.md with Kubernetes' own documents means what the page says. */

import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';
import { compileTable, readResources } from '../../src/config/load.ts';

const page = join(import.meta.dirname, '../../docs/kubernetes.md');

function example(): string {
  const blocks = readFileSync(page, 'utf8').matchAll(/^```yaml\n(.*?)^```$/gms);
  const found = [...blocks].map(([, text]) => text!).find((text) => text.includes('EndpointSlice'));
  assert.ok(found !== undefined, 'the page has no example with an EndpointSlice');
  return found;
}

test("connections to the example's Service are shared, those to its pods are not", () => {
  const { resources, diagnostics } = readResources([{ file: 'page.yaml', text: example() }]);
  assert.deepEqual(diagnostics, []);
  const context = { namespace: 'default', labels: {}, generation: 1, capture: 'redirect' } as const;
  const { table, diagnostics: more } = compileTable(resources, context);
  assert.deepEqual(more, []);
  const shares = table.capture!.destinations.map(({ address, connectionRules: [first] }) => [
    address,
    first!.backends.map(({ weight }) => weight).join('+'),
  ]);
  assert.deepEqual(Object.fromEntries(shares), {
    '10.96.0.20': '90+10',
    '10.244.1.7': '100',
    '10.244.2.9': '100',
  });
});
