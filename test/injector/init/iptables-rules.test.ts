/**
 * The rules for iptables as text: what holds of them whatever the options and whatever is loaded.
 */

import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import {
  iptablesRules,
  printIptables,
  printIptablesRemoval,
  readSaved,
} from '../../../injector/init/iptables-rules.ts';
import { parseInitOptions } from '../../../injector/init/options.ts';
import { UsageError } from '../../../src/main/flags.ts';

const rulesOf = (args: readonly string[], environment = {}) =>
  parseInitOptions(args, environment).rules;
const nothing = readSaved('');

test('without flags only our own ports stay out, and the jumps come first', () => {
  assert.equal(
    printIptables(rulesOf([]), 4, nothing),
    `*nat
:TRACECAR_IN - [0:0]
:TRACECAR_OUT - [0:0]
-I PREROUTING 1 -p tcp -j TRACECAR_IN
-I OUTPUT 1 -p tcp -j TRACECAR_OUT
-A TRACECAR_IN -p tcp -m tcp --dport 15021 -j REDIRECT --to-ports 15022
-A TRACECAR_IN -p tcp -m multiport --dports 15020,15090 -j RETURN
-A TRACECAR_IN -p tcp -j REDIRECT --to-ports 15006
-A TRACECAR_OUT -d 192.0.2.1/32 -p tcp -m tcp --dport 15006 -j TRACECAR_IN
-A TRACECAR_OUT -p tcp -m tcp ! --dport 15001 -m owner --uid-owner 1337 -j RETURN
-A TRACECAR_OUT ! -d 192.0.2.1/32 -m owner --uid-owner 1337 -j RETURN
-A TRACECAR_OUT -o lo -j RETURN
-A TRACECAR_OUT -p tcp -j REDIRECT --to-ports 15001
COMMIT
`,
  );
  const v6 = printIptables(rulesOf([]), 6, nothing);
  assert.match(v6, /! -d 2001:db8::1\/128 -m owner --uid-owner 1337 -j RETURN/);
  assert.match(v6, /-o lo -j RETURN\n-A TRACECAR_OUT -d fe80::\/10 -j RETURN\n/);
  assert.match(v6, /-d 2001:db8::1\/128 -p tcp -m tcp --dport 15006 -j TRACECAR_IN/);
  assert.doesNotMatch(v6, /192\.0\.2\.1/);
});

test('each family skips its own prefixes, and everything is a prefix too', () => {
  const options = rulesOf(['--skip-outbound-cidrs=10.1.2.3/8,fd00::1/8,::/0,10.0.0.0/8']);
  const prefixesOf = (family: 4 | 6) =>
    iptablesRules(options, family)[1]![1].filter((rule) => /^(-d \S+ )?-j RETURN$/.test(rule));
  assert.deepEqual(prefixesOf(4), ['-d 10.0.0.0/8 -j RETURN']);
  const [link, first, ...everything] = prefixesOf(6);
  assert.equal(link, '-d fe80::/10 -j RETURN');
  assert.equal(first, '-d fd00:0:0:0:0:0:0:0/8 -j RETURN');
  // All but the sentinel: one prefix for each of its bits.
  assert.equal(everything.length, 128);
  assert.equal(everything[0], '-d 8000:0:0:0:0:0:0:0/1 -j RETURN');
  assert.equal(everything.at(-1), '-d 2001:db8:0:0:0:0:0:0/128 -j RETURN');
});

test('one rule alone redirects what leaves, and no rule before it means the sentinel', () => {
  const all = '--skip-outbound-cidrs=0.0.0.0/0,192.0.2.1,::/0,2001:db8::/32';
  const options = rulesOf([all, '--skip-outbound-ports=1-65535']);
  for (const [family, sentinel] of [
    [4, '192.0.2.1/32'],
    [6, '2001:db8::1/128'],
  ] as const) {
    const [, outbound] = iptablesRules(options, family)[1]!;
    assert.equal(outbound.filter((rule) => rule.includes('--to-ports 15001')).length, 1);
    assert.equal(outbound.at(-1), '-p tcp -j REDIRECT --to-ports 15001');
    for (const rule of outbound.filter((each) => each.endsWith('RETURN'))) {
      const isOther = rule.startsWith('-d ') && !rule.startsWith(`-d ${sentinel}`);
      const isNot = rule.startsWith(`! -d ${sentinel} `) || rule.includes('! --dport 15001 ');
      assert.ok(isOther || isNot || rule === '-o lo -j RETURN', rule);
    }
  }
});

test('a rule holds at most fifteen ports, of which a range is two, and none is lost', () => {
  const range = fc
    .tuple(fc.integer({ min: 1, max: 65_000 }), fc.nat(9))
    .map(([first, more]) => (more === 0 ? `${first}` : `${first}-${first + more}`));
  fc.assert(
    fc.property(fc.uniqueArray(range, { maxLength: 80 }), (texts) => {
      const options = rulesOf([], { TRACECAR_SKIP_OUT: texts.join(',') });
      const lists = iptablesRules(options, 4)[1]![1].flatMap((rule) => {
        const list = /^! -d 192\.0\.2\.1\/32 -p tcp -m multiport --dports (\S+) -j RETURN$/.exec(
          rule,
        )?.[1];
        return list === undefined ? [] : [list.split(',')];
      });
      for (const list of lists) {
        const slots = list.reduce((sum, each) => sum + (each.includes(':') ? 2 : 1), 0);
        assert.ok(slots <= 15 && list.length >= 1, list.join());
      }
      assert.deepEqual(
        lists.flat(),
        texts.map((each) => each.replace('-', ':')),
      );
    }),
  );
});

const loaded = (entries: string) => `*nat
:PREROUTING ACCEPT [0:0]
:OUTPUT ACCEPT [1:60]
:TRACECAR_IN - [0:0]
:TRACECAR_OUT - [0:0]
${entries}COMMIT
`;
const goodJumps = '-A PREROUTING -p tcp -j TRACECAR_IN\n-A OUTPUT -p tcp -j TRACECAR_OUT\n';

test('jumps that are there are not written again', () => {
  const text = printIptables(rulesOf([]), 4, readSaved(loaded(goodJumps)));
  assert.doesNotMatch(text, /-[ID] (PREROUTING|OUTPUT)/);
});

test('jumps that are doubled, narrowed or not first are put right, the last one first', () => {
  const text = printIptables(
    rulesOf([]),
    4,
    readSaved(
      loaded(
        `${goodJumps}-A OUTPUT -j DOCKER\n-A OUTPUT -p tcp -j TRACECAR_OUT\n-A OUTPUT -d 9.9.9.9/32 -g TRACECAR_OUT\n`,
      ),
    ),
  );
  const entries = text.split('\n').filter((line) => /^-[ID]/.test(line));
  assert.deepEqual(entries, [
    '-D OUTPUT 4',
    '-D OUTPUT 3',
    '-D OUTPUT 1',
    '-I OUTPUT 1 -p tcp -j TRACECAR_OUT',
  ]);
});

test('a removal takes our chains and every jump to them, and nothing of others', () => {
  const saved = readSaved(
    loaded(`-A PREROUTING -j DOCKER\n${goodJumps}-A DOCKER -p tcp -j TRACECAR_OUT\n`).replace(
      ':TRACECAR_IN',
      ':DOCKER - [0:0]\n:TRACECAR_IN',
    ),
  );
  assert.equal(
    printIptablesRemoval(saved),
    `*nat
-D PREROUTING 2
-D OUTPUT 1
-D DOCKER 1
-F TRACECAR_IN
-F TRACECAR_OUT
-X TRACECAR_IN
-X TRACECAR_OUT
COMMIT
`,
  );
  assert.equal(printIptablesRemoval(readSaved('*nat\n:OUTPUT ACCEPT [0:0]\nCOMMIT\n')), '');
});

test('whatever the texts are, the rules hold only their own words and numbers', () => {
  const words = new Set(
    printIptables(rulesOf(['--skip-outbound-ports=1', '--skip-outbound-cidrs=::1']), 6, nothing)
      .match(/[A-Za-z_-]{2,}/g)!
      .filter((word) => !/^[a-f]+$/.test(word)),
  );
  const text = fc.oneof(
    fc.string({ unit: 'binary' }),
    fc.string({ unit: fc.constantFrom(...'0123456789,-/.:af ;{}\n"') }),
  );
  fc.assert(
    fc.property(text, text, fc.constantFrom(4 as const, 6 as const), (ports, cidrs, family) => {
      let printed = '';
      try {
        const options = rulesOf([], { TRACECAR_SKIP_IN: ports, TRACECAR_SKIP_CIDR: cidrs });
        printed = printIptables(options, family, nothing);
      } catch (error) {
        assert.ok(error instanceof UsageError);
        return;
      }
      assert.match(printed, /^[\w *:,./[\]!\n-]*$/);
      for (const word of printed.match(/[A-Za-z_-]{2,}/g) ?? []) {
        assert.ok(words.has(word) || /^[a-f]+$/.test(word), word);
      }
    }),
    { numRuns: 500 },
  );
});
