/**
 * docs/tracing-settings.md has every flag of tracing, every OTEL_* variable that is read and every field
 * of Telemetry, and none that there is not.
 */

import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';
import { annotations } from '../../injector/annotations.ts';
import { compileTable, readResources } from '../../src/config/load.ts';
import { proxyFlags } from '../../src/main/proxy-settings.ts';
import { tracingFlags } from '../../src/main/tracing-flags.ts';
import { readTelemetrySettings } from '../../src/telemetry/settings/settings.ts';

const page = readFileSync(join(import.meta.dirname, '../../docs/tracing-settings.md'), 'utf8');

/** Names behind a first one that share its beginning are written `..._LAST_WORDS`. */
function isNamed(variable: string): boolean {
  if (page.includes(`\`${variable}\``)) return true;
  const own = variable.replace(/^OTEL_EXPORTER_OTLP_(?:TRACES|METRICS)_/, 'OTEL_EXPORTER_OTLP_');
  const words = variable.split('_');
  const isShort = words.some((_word, at) => page.includes(`\`..._${words.slice(at).join('_')}\``));
  return isShort || (own !== variable && isNamed(own));
}

test('every variable that is read is on the page', () => {
  const read = new Set<string>();
  const environment = new Proxy<Record<string, string>>(
    {},
    {
      get: (_target, name) => {
        read.add(String(name));
        return undefined;
      },
    },
  );
  readTelemetrySettings(environment);
  assert.ok(read.size > 40, `${read.size} variables`);
  for (const variable of read) assert.ok(isNamed(variable), `${variable} is not on the page`);
  for (const [, variable] of page.matchAll(/`(OTEL_[A-Z_]+)`/g)) {
    assert.ok(read.has(variable!), `${variable} is not read`);
  }
});

test('every flag of tracing is on the page, and each that is there exists', () => {
  for (const { name } of tracingFlags) {
    assert.match(page, new RegExp(`^\\| \`--${name}[ \`]`, 'm'), name);
  }
  const known = proxyFlags.map(({ name }) => name);
  for (const [, name] of page.matchAll(/`--([a-z0-9-]+)/g)) {
    assert.ok(known.includes(name!) || name === 'name', `--${name}`);
  }
});

test('annotations that the page names exist', () => {
  for (const [, key] of page.matchAll(/`(tracecar\.dev\/[a-z-]+)`/g)) {
    const isThere = annotations.some((each) => each.key === key);
    assert.ok(isThere, `${key} is no annotation`);
  }
});

test('the Telemetry of the page is one without a mistake', () => {
  const [, text] = /```yaml\n([\s\S]*?)```/.exec(page)!;
  const { resources, diagnostics } = readResources([{ file: 'page.yaml', text: text! }]);
  assert.deepEqual(diagnostics, []);
  const workload = { namespace: 'default', labels: { app: 'web' }, generation: 1 };
  const { tracing } = compileTable(resources, { ...workload, capture: 'redirect' }).table;
  assert.equal(tracing.inbound.ratio, 0.1);
  assert.equal(tracing.outbound.isReported, false);
  assert.deepEqual(
    tracing.inbound.tags.map(({ kind, name }) => `${kind} ${name}`),
    ['literal shop.color', 'environment shop.pod', 'header shop.tenant'],
  );
});
