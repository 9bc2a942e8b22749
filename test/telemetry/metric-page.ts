/**
 * A strict reader of a page of metrics, for tests: every line is understood, every sample belongs to
 * the family before it, nothing comes twice. Both formats; exemplars only where OpenMetrics has them.
 */

import assert from 'node:assert/strict';

export interface ReadExemplar {
  readonly traceId: string;
  readonly spanId: string;
  readonly value: number;
  readonly seconds: number;
}

export interface ReadPage {
  /** By name with labels. */
  readonly samples: ReadonlyMap<string, number>;
  /** By name of the family as HELP and TYPE have it. */
  readonly types: ReadonlyMap<string, string>;
  readonly exemplars: ReadonlyMap<string, ReadExemplar>;
}

const SAMPLE =
  /^([a-z_:][a-z0-9_:]*)(\{(?:[a-z_]+="(?:[^"\\\n]|\\["\\n])*",?)*\})? ([0-9.e+-]+|\+Inf)(?: # \{trace_id="([0-9a-f]{32})",span_id="([0-9a-f]{16})"\} ([0-9.e+-]+) ([0-9.]+))?$/;

/** Reads `text`; throws what is wrong with it. */
export function readPage(text: string): ReadPage {
  const samples = new Map<string, number>();
  const types = new Map<string, string>();
  const exemplars = new Map<string, ReadExemplar>();
  let family = '';
  assert.ok(text.endsWith('\n'));
  const lines = text.slice(0, -1).split('\n');
  const isOpen = lines.at(-1) === '# EOF';
  if (isOpen) lines.pop();
  for (const line of lines) {
    const [, keyword, name = '', rest = ''] =
      /^# (HELP|TYPE|UNIT) ([a-z_:][a-z0-9_:]*) (.+)$/.exec(line) ?? [];
    if (keyword !== undefined) {
      if (keyword === 'HELP') {
        assert.ok(!types.has(name), `${name} twice`);
        family = name;
      }
      assert.equal(name, family, line);
      if (keyword === 'TYPE') {
        assert.match(rest, /^(counter|gauge|histogram)$/);
        types.set(name, rest);
      }
      if (keyword === 'UNIT') assert.ok(isOpen && name.endsWith(`_${rest}`), line);
      continue;
    }
    const sample = SAMPLE.exec(line);
    assert.ok(sample !== null, `not a sample: ${line}`);
    const [, found = '', labels = '', value, traceId, spanId = '', exact, seconds] = sample;
    const type = types.get(family);
    const suffixes = type === 'histogram' ? ['_bucket', '_sum', '_count'] : [''];
    if (isOpen && type === 'counter') suffixes[0] = '_total';
    assert.ok(
      suffixes.some((suffix) => found === `${family}${suffix}`),
      line,
    );
    const key = `${found}${labels}`;
    assert.ok(!samples.has(key), `${key} twice`);
    samples.set(key, Number(value));
    if (traceId === undefined) continue;
    assert.ok(isOpen && found.endsWith('_bucket'), line);
    exemplars.set(key, { traceId, spanId, value: Number(exact), seconds: Number(seconds) });
  }
  return { samples, types, exemplars };
}

/** The labels of a sample's key. */
export function labelsOf(key: string): Readonly<Record<string, string>> {
  return Object.fromEntries(
    [...key.matchAll(/([a-z_]+)="((?:[^"\\]|\\.)*)"/g)].map(([, name, value]) => [name, value]),
  );
}

/** The sum of all samples of `name` whose labels have all of `wanted`. */
export function sumOf(page: ReadPage, name: string, wanted: Record<string, string> = {}): number {
  let sum = 0;
  for (const [key, value] of page.samples) {
    if (key.split('{')[0] !== name) continue;
    const labels = labelsOf(key);
    if (Object.entries(wanted).every(([label, each]) => labels[label] === each)) sum += value;
  }
  return sum;
}
