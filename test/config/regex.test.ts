/**
 * User regexes: RE2 syntax over whole texts, translated, never slow. Also guards the two experimental
 * V8 flags that this rests on: a Node.js without them fails here, not in production.
 */

import assert from 'node:assert/strict';
import { test } from 'node:test';
import { compileRegex } from '../../src/config/syntax/regex.ts';

function compiled(pattern: string): RegExp {
  const regex = compileRegex(pattern);
  assert.ok(regex instanceof RegExp, `${pattern}: ${JSON.stringify(regex)}`);
  return regex;
}

function refused(pattern: string): string {
  const regex = compileRegex(pattern);
  assert.ok(!(regex instanceof RegExp), `${pattern} was accepted as ${regex}`);
  return regex.kind;
}

/** pattern, texts that it covers, texts that it does not */
const cases: readonly [string, readonly string[], readonly string[]][] = [
  ['/v[0-9]+', ['/v1', '/v12'], ['/v', '/v1/', 'x/v1', '/v1\n']],
  ['a|b', ['a', 'b'], ['ab', '']],
  ['(?i)abc[x-z]', ['ABCX', 'aBcz'], ['abcw']],
  ['(?i)[^a]', ['b'], ['a', 'A']],
  ['(?P<name>x)(?<other>y)', ['xy'], ['x']],
  ['a.b', ['axb', 'a\rb'], ['a\nb']],
  ['(?s)a.b', ['a\nb'], ['ab']],
  ['(?is)A.B', ['a\nB'], []],
  ['\\d\\w\\s', ['1a ', '1_\t'], ['1a\v', '1é ']],
  ['[\\d.]+', ['1.2'], ['1a']],
  ['[]a]+', [']a'], ['b']],
  ['[^]a]', ['b'], [']', 'a']],
  ['[a-]', ['a', '-'], ['b']],
  ['[[:alpha:]_]+', ['aZ_'], ['1']],
  ['[[:^digit:]]', ['a'], ['1']],
  ['\\x41\\x{42}', ['AB'], ['ab']],
  ['\\Aab\\z', ['ab'], ['abz']],
  ['^ab$', ['ab'], []],
  ['a{2}', ['aa'], ['a', 'aaa']],
  ['a{2,}', ['aa', 'aaaa'], ['a']],
  ['a{0,2}', ['', 'a', 'aa'], ['aaa']],
  ['a{0}b', ['b'], ['ab']],
  ['a{,2}', ['a{,2}'], ['a']],
  ['(ab){2,3}?', ['abab', 'ababab'], ['ab']],
  ['a*?b+?', ['b', 'aab'], ['a']],
  ['a\\.b\\/c', ['a.b/c'], ['axb/c']],
  ['x{', ['x{'], ['x']],
  ['\\bfoo\\b.*', ['foo bar'], ['food']],
  ['', [''], ['a']],
  ['(|a)+', ['', 'aa'], ['b']],
  ['[0-9a-f]{8}-[0-9a-f]{4}', ['0123abcd-00ff'], ['0123abcd-00f']],
];

test('patterns cover whole texts with the meaning of RE2', () => {
  for (const [pattern, covered, others] of cases) {
    const regex = compiled(pattern);
    for (const text of covered)
      assert.ok(regex.test(text), `${pattern} on ${JSON.stringify(text)}`);
    for (const text of others) {
      assert.ok(!regex.test(text), `${pattern} on ${JSON.stringify(text)}`);
    }
  }
});

test('what RE2 lacks is refused', () => {
  for (const pattern of ['(a)\\1', '(?=a)', '(?!a)', '(?<=a)b', '(?<!a)b', '\\k<x>']) {
    assert.equal(refused(pattern), 'regex-not-linear', pattern);
  }
});

test('what JavaScript would read in its own way is refused', () => {
  const patterns = ['\\pL', '\\Qa\\E', '\\cA', '\\u0041', '\\0', 'a++', 'a**', '(?m)a', 'a(?i)b'];
  for (const pattern of [
    ...patterns,
    '^*',
    '\\b+',
    'é',
    '[é]',
    '\\',
    '[a',
    '(',
    ')',
    '?',
    '[[:x:]]',
  ]) {
    assert.equal(refused(pattern), 'bad-regex', pattern);
  }
});

test('long patterns and multiplying counts are refused', () => {
  assert.equal(refused('a'.repeat(1_025)), 'regex-too-long');
  assert.equal(refused('((a{100}){100}){100}'), 'regex-too-long');
  assert.equal(refused(`${'('.repeat(200)}a${')'.repeat(200)}`), 'bad-regex');
});

test('no accepted pattern takes 50 ms on 8 KiB that almost matches', () => {
  const patterns = [
    '(a+)+$',
    '(a|a)*b',
    '(.*,)*x',
    '(a*)*(a*)*(a*)*b',
    '(a?){20}a{20}',
    '(a|aa)+$',
    '([a-z]+)*[0-9]',
    `${'a?'.repeat(300)}${'a'.repeat(300)}`,
    '(x|a|b|c|d|e|f|g|h|i|j|k|l|m|n)*(a+)+z',
    'a{1,500}b',
  ];
  const text = `${'a'.repeat(8 * 1024)}!`;
  for (const pattern of patterns) {
    const regex = compiled(pattern);
    // Processor time: what else the machine does must not fail a test.
    const start = process.cpuUsage();
    regex.test(text);
    const { user, system } = process.cpuUsage(start);
    const spentMs = (user + system) / 1_000;
    assert.ok(spentMs < 50, `${pattern}: ${spentMs} ms`);
  }
});

test('compiled patterns keep no state between texts', () => {
  const regex = compiled('a+');
  assert.ok(regex.test('aa') && regex.test('aa') && !regex.test('b') && regex.test('a'));
});
