/**
 * Pages of metrics of others: every line that a scraper takes is taken, one that it does not take is
 * named, and neither depends on how the text was cut on its way.
 */

import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import type { TextFormat } from '../../src/telemetry/metrics/metric-text.ts';
import { MetricTextReader } from '../../src/telemetry/metrics/metric-text-reader.ts';

const lineLengthMax = 300;

function read(format: TextFormat, text: string, cuts: readonly number[] = []) {
  const reader = new MetricTextReader(format, lineLengthMax);
  let from = 0;
  for (const cut of cuts.toSorted((first, second) => first - second)) {
    reader.push(text.slice(from, Math.max(from, cut)));
    from = Math.max(from, cut);
  }
  reader.push(text.slice(from));
  const blocks = reader.end();
  return { problem: reader.problem, blocks };
}

const good = [
  'up 1',
  'up{} 1',
  'a:b_c{x="1",y="\\"quoted\\" \\\\ \\n",} 1.5e-3 1700000000000',
  'x{ a = "b" , c = "}" } +Inf',
  'x\t{a="ü€"}\t-Inf\t-5',
  'x NaN',
  'x .5',
  'x 5.',
];
const bad = [
  '1up 1',
  'up',
  'up one',
  'up 1 2 3',
  'up 1 now',
  'up{a=b} 1',
  'up{a="b} 1',
  'up{a="b" c="d"} 1',
  'up{,} 1',
  'up{a="b"',
  'up{a="b"} 1 # {t="x"}',
  'up{1a="b"} 1',
  '<html>',
  '# HELP 1x text',
  `up{a="${'x'.repeat(lineLengthMax)}"} 1`,
];

test('lines that Prometheus takes are taken, and wrong ones are named with their number', () => {
  for (const line of good) assert.equal(read('prometheus', `${line}\n`).problem, '', line);
  for (const line of bad) {
    const { problem, blocks } = read('prometheus', `# ours\nup 1\n${line}\n`);
    assert.match(problem, /^line 3: /, line);
    assert.deepEqual(blocks, []);
  }
});

test('OpenMetrics takes exemplars and ends in # EOF, and has no comments of its own', () => {
  const of = (text: string) => read('openmetrics', text).problem;
  assert.equal(of('# TYPE a counter\na_total 1 # {trace_id="x"} 0.5 1700000000.5\n# EOF\n'), '');
  assert.equal(of('a 1 1700000000.123\n# EOF'), '');
  assert.match(of('a 1\n'), /does not end in `# EOF`/);
  assert.match(of('a 1\n# EOF\na 2\n'), /^line 3: something follows/);
  assert.match(of('# a comment\n# EOF\n'), /^line 1: OpenMetrics knows/);
  assert.match(of('a 1\n\n# EOF\n'), /^line 2: it is empty/);
  assert.match(of('a 1 # {trace_id=x} 1\n# EOF\n'), /^line 1: no sample/);
});

test('a family has what describes it apart from its samples, and comments are left out', () => {
  const text =
    'first 1\r\n# HELP a What it is\n# TYPE a counter\n# note\na 1\na{x="1"} 2\n\n# TYPE b gauge\nb 3';
  assert.deepEqual(read('prometheus', text).blocks, [
    { family: '', head: '', samples: 'first 1\n' },
    { family: 'a', head: '# HELP a What it is\n# TYPE a counter\n', samples: 'a 1\na{x="1"} 2\n' },
    { family: 'b', head: '# TYPE b gauge\n', samples: 'b 3\n' },
  ]);
});

test('a page is the same page however it is cut', () => {
  const lines = fc.constantFrom(...good, ...bad, '# TYPE a counter', '# EOF', '', '# note');
  fc.assert(
    fc.property(
      fc.constantFrom('prometheus' as const, 'openmetrics' as const),
      fc.array(lines, { maxLength: 8 }),
      fc.array(fc.nat({ max: 400 }), { maxLength: 6 }),
      (format, list, cuts) => {
        const text = list.join('\n');
        assert.deepEqual(read(format, text, cuts), read(format, text));
      },
    ),
  );
});
