/**
 * The redirection rules as text: what flags become, and that nothing but numbers gets there.
 */

import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { initFlags, parseInitOptions } from '../../../injector/init/options.ts';
import {
  type Prefix,
  prefixWithout,
  printPrefix,
  readPrefixList,
} from '../../../injector/init/prefix-list.ts';
import { spanOfPrefix } from '../../../injector/init/rule-differences.ts';
import { healthPorts, printRules, sentinels } from '../../../injector/init/rules.ts';
import * as health from '../../../src/admin/health-port.ts';
import { readPortList } from '../../../src/base/port-list.ts';
import { UsageError, variableOf } from '../../../src/main/flags.ts';
import * as sentinel from '../../../src/proxy/capture/sentinel.ts';

/** Those that mean IPv4 are refused. */
const ipV6 = fc.ipV6().filter((text) => 'prefixes' in readPrefixList(text));

const rulesOf = (args: readonly string[], environment = {}) =>
  printRules(parseInitOptions(args, environment).rules);

function setOf(rules: string, name: string): string[] {
  const set = rules.split(`set ${name} {`)[1]!.split('}')[0]!;
  const elements = /elements = \{ ([^}]*)/.exec(`${set}}`)?.[1]?.trim() ?? '';
  return elements === '' ? [] : elements.split(', ');
}

test('without flags only our own ports stay out', () => {
  const rules = rulesOf([]);
  assert.deepEqual(setOf(rules, 'skip_in'), ['15020', '15090']);
  assert.deepEqual(setOf(rules, 'skip_out'), []);
  assert.deepEqual(setOf(rules, 'skip_out4'), []);
  assert.match(
    rules,
    /meta skuid 1337 ip6 daddr != 2001:db8::1 return\n +oifname "lo" return\n.*\n +ip6 daddr fe80::\/10 return/,
  );
  assert.match(rules, /^table inet tracecar\ndelete table inet tracecar\ntable inet tracecar \{/);
});

test('no rule touches UDP or DNS', () => {
  const rules = rulesOf([]);
  assert.doesNotMatch(rules, /udp|dport 53|15053|zone/);
});

test('what comes from elsewhere and the inbound sentinel pass the same rules, and no others do', () => {
  const rules = rulesOf([]);
  assert.deepEqual(
    rules.match(/.* jump .*/g)!.map((line) => line.trim()),
    [
      'meta l4proto tcp jump inbound',
      'ip daddr 192.0.2.1 tcp dport 15006 jump inbound',
      'ip6 daddr 2001:db8::1 tcp dport 15006 jump inbound',
    ],
  );
  assert.match(
    rules,
    /chain prerouting \{\n +type nat hook prerouting .*\n +meta l4proto tcp jump inbound\n +\}/,
  );
  assert.match(
    rules,
    /chain inbound \{\n +tcp dport 15021 redirect to :15022\n +tcp dport @skip_in return\n.* redirect to :15006\n +\}/,
  );
});

test('the port of the inbound capture is never skipped, or its sentinel would not come back', () => {
  const skipped = (ports: string) =>
    setOf(rulesOf([`--skip-inbound-ports=${ports}`]), 'skip_in').slice(2);
  assert.deepEqual(skipped('1-65535'), ['1-15005', '15007-65535']);
  assert.deepEqual(skipped('15006'), []);
  assert.deepEqual(skipped('15006-15007,22,15000-15006'), ['15007', '22', '15000-15005']);
  assert.deepEqual(skipped('15005-15006'), ['15005']);
});

test('rules and sidecar mean the same sentinel and the same health ports', () => {
  assert.deepEqual(sentinels, sentinel.sentinels);
  assert.deepEqual(healthPorts, health.healthPorts);
});

test('a probe from elsewhere is led to the port of what has passed, whatever ports are skipped', () => {
  for (const flags of [[], ['--skip-inbound-ports=15021'], ['--skip-inbound-ports=1-65535']]) {
    const [first] = rulesOf(flags).split('chain inbound {\n')[1]!.split('\n');
    assert.equal(first!.trim(), 'tcp dport 15021 redirect to :15022');
  }
});

test('one rule alone redirects what leaves, and no port or prefix that is skipped is the sentinel', () => {
  const rules = rulesOf([
    '--skip-outbound-cidrs=0.0.0.0/0,192.0.2.1,::/0,2001:db8::/32',
    '--skip-outbound-ports=1-65535',
  ]);
  assert.equal(rules.match(/redirect to :15001/g)!.length, 1);
  assert.match(rules, / +meta l4proto tcp redirect to :15001\n {2}\}\n\}\n$/);
  assert.match(
    rules,
    / ip daddr != 192\.0\.2\.1 tcp dport @skip_out return\n +ip6 daddr != 2001:db8::1 tcp dport @skip_out return\n/,
  );
  const v4 = setOf(rules, 'skip_out4');
  assert.deepEqual([v4.length, v4[0], v4.at(-1)], [32, '0.0.0.0/1', '192.0.2.0/32']);
  assert.equal(setOf(rules, 'skip_out6').filter((each) => each.endsWith('/128')).length, 1);
});

test('a prefix without one address is all of it but that one', () => {
  const numberOf = (prefix: Prefix) => spanOfPrefix(prefix, '');
  const prefix = fc.oneof(
    fc.tuple(fc.ipV4(), fc.integer({ min: 0, max: 32 })),
    fc.tuple(ipV6, fc.integer({ min: 0, max: 128 })),
  );
  fc.assert(
    fc.property(prefix, fc.ipV4(), ipV6, fc.boolean(), ([from, length], v4, v6, isIn) => {
      const one = (text: string) => {
        const read = readPrefixList(text);
        assert.ok('prefixes' in read, text);
        return read.prefixes[0]!;
      };
      const whole = one(`${from}/${length}`);
      const out = isIn ? from : whole.family === 4 ? v4 : v6;
      const parts = prefixWithout(whole, out).map(numberOf);
      const { first, last } = numberOf(whole);
      const hole = numberOf(one(out)).first;
      const isHeld = hole >= first && hole <= last;
      const size = parts.reduce((sum, part) => sum + part.last - part.first + 1n, 0n);
      assert.equal(size, last - first + (isHeld ? 0n : 1n));
      // So many, none of them outside, and never the one: no two overlap.
      for (const part of parts) {
        assert.ok(part.first >= first && part.last <= last);
        assert.ok(hole < part.first || hole > part.last);
        const over = parts.filter((each) => each.first <= part.last && each.last >= part.first);
        assert.equal(over.length, 1);
      }
    }),
  );
});

test('the way in of the sentinel comes before the proxy and the proxy before everything else', () => {
  const lines = rulesOf([]).split('chain outbound')[1]!.split('\n');
  const place = (pattern: RegExp) => lines.findIndex((line) => pattern.test(line));
  const places = [
    /192\.0\.2\.1 .* jump inbound/,
    /2001:db8::1 .* jump inbound/,
    /skuid 1337 tcp dport != 15001 return/,
    /skuid 1337 ip daddr != 192\.0\.2\.1 return/,
    /skuid 1337 ip6 daddr != 2001:db8::1 return/,
    /oifname "lo"/,
    /ip6 daddr fe80::\/10 return/,
    /@skip_out /,
    /^ +meta .*:15001/,
  ];
  const found = places.map(place);
  assert.ok(!found.includes(-1), lines.join('\n'));
  assert.deepEqual(
    found,
    [...found].sort((one, other) => one - other),
  );
});

test('flags and the variables of the injector say the same, and flags win', () => {
  const flags = [
    '--skip-inbound-ports=22,9000-9010',
    '--skip-outbound-ports',
    '3306',
    '--skip-outbound-cidrs=10.1.2.3/8,fd00::1/8',
    '--proxy-uid=2000',
  ];
  const environment = {
    TRACECAR_SKIP_IN: '22,9000-9010',
    TRACECAR_SKIP_OUT: '3306',
    TRACECAR_SKIP_CIDR: '10.1.2.3/8,fd00::1/8',
    TRACECAR_PROXY_UID: '2000',
  };
  const rules = rulesOf(flags);
  assert.equal(rulesOf([], environment), rules);
  assert.deepEqual(setOf(rules, 'skip_in').slice(2), ['22', '9000-9010']);
  assert.deepEqual(setOf(rules, 'skip_out'), ['3306']);
  assert.deepEqual(setOf(rules, 'skip_out4'), ['10.0.0.0/8']);
  assert.deepEqual(setOf(rules, 'skip_out6'), ['fd00:0:0:0:0:0:0:0/8']);
  assert.equal(rules.match(/meta skuid 2000 .* return/g)!.length, 3);
  assert.deepEqual(setOf(rulesOf(['--skip-outbound-ports=1'], environment), 'skip_out'), ['1']);
  assert.deepEqual(initFlags.slice(0, 3).map(variableOf), [
    'TRACECAR_SKIP_IN',
    'TRACECAR_SKIP_OUT',
    'TRACECAR_SKIP_CIDR',
  ]);
});

// reference/reliability.md W13 and more of its kind.
const badPorts = [
  '80;rm -rf /',
  '80 -j ACCEPT',
  '80 }\n delete table inet tracecar',
  '0',
  '65536',
  '1-',
  '-1',
  '9-8',
  '١٢',
  '80,',
  ',',
  '0x50',
  '8e1',
  '+80',
  '80-90-100',
  '$(id)',
  'http',
  '80\u0000',
  '80\n',
];

for (const text of badPorts) {
  test(`the port list ${JSON.stringify(text)} is refused with its name`, () => {
    for (const flag of ['skip-inbound-ports', 'skip-outbound-ports']) {
      assert.throws(
        () => rulesOf([`--${flag}=${text}`]),
        (error) => error instanceof UsageError && error.message.startsWith(`--${flag}: `),
      );
    }
    assert.throws(() => rulesOf([], { TRACECAR_SKIP_IN: text }), UsageError);
  });
}

// W14.
const badPrefixes = [
  '0.0.0.0/33',
  '10.0.0.0/8,--jump',
  'fe80::1%eth0/64',
  'fe80::1%lo',
  '::/129',
  '10.0.0/8',
  '10.0.0.0/',
  '10.0.0.0/-1',
  '10.0.0.0/8/8',
  '256.0.0.1',
  '010.0.0.1',
  '1.2.3.4 }',
  'fd00:::1',
  '*',
  'localhost',
  '@skip_in',
  '١٠.0.0.0/8',
];

for (const text of badPrefixes) {
  test(`the prefix list ${JSON.stringify(text)} is refused with its name`, () => {
    assert.throws(
      () => rulesOf([`--skip-outbound-cidrs=${text}`]),
      (error) => error instanceof UsageError && /^--skip-outbound-cidrs: /.test(error.message),
    );
  });
}

test('IPv4 that is written as IPv6 is refused, and how to write it is said', () => {
  for (const text of [
    '::ffff:10.0.0.0/104',
    '::FFFF:a00:0/8',
    'fd00::/8,0:0:0:0:0:ffff:10.0.0.0',
  ]) {
    assert.throws(
      () => rulesOf([`--skip-outbound-cidrs=${text}`]),
      (error) =>
        error instanceof UsageError &&
        /^--skip-outbound-cidrs: '[0-9A-Fa-f:./]+' is an IPv4 address as IPv6 writes it; write 10\.0\.0\.0 /.test(
          error.message,
        ),
    );
  }
  assert.deepEqual(
    setOf(rulesOf(['--skip-outbound-cidrs=::/1,64:ff9b::/96']), 'skip_out6').at(-1),
    '64:ff9b:0:0:0:0:0:0/96',
  );
});

test('ten thousand ports are refused in one short line', () => {
  const text = Array.from({ length: 10_000 }, (_none, index) => index + 1).join(',');
  const result = readPortList(text);
  assert.ok('problem' in result && result.problem.length < 120);
});

test('a mistake of 250 KiB is shown cut', () => {
  const result = readPortList('x'.repeat(250 * 1024));
  assert.ok('problem' in result && result.problem.length < 200);
});

test('the user of the proxy is a number and not root', () => {
  for (const uid of ['0', '-1', '1337x', 'root', '4294967295', '1337 counter']) {
    assert.throws(() => rulesOf([`--proxy-uid=${uid}`]), UsageError);
  }
});

test('whatever the texts are, the rules hold only their own words and numbers', () => {
  const words = new Set(rulesOf([]).match(/[a-z_]+/g));
  const text = fc.oneof(
    fc.string({ unit: 'binary' }),
    fc.string({ unit: fc.constantFrom(...'0123456789,-/.:af ;{}\n"') }),
  );
  fc.assert(
    fc.property(text, text, (ports, prefixes) => {
      let rules = '';
      try {
        rules = rulesOf([], { TRACECAR_SKIP_IN: ports, TRACECAR_SKIP_CIDR: prefixes });
      } catch (error) {
        assert.ok(error instanceof UsageError);
        return;
      }
      const frame = rules.replace(/elements = \{[^}]*\}/g, '');
      for (const word of frame.match(/[a-z_]+/g) ?? []) assert.ok(words.has(word), word);
      for (const [, elements] of rules.matchAll(/elements = \{ ([^}]*) \}/g)) {
        assert.match(elements!, /^[0-9a-f:./-]+(, [0-9a-f:./-]+)*$/);
      }
    }),
    { numRuns: 500 },
  );
});

test('a prefix printed and read again is the same', () => {
  const prefix = fc.oneof(fc.tuple(fc.ipV4(), fc.nat(32)), fc.tuple(ipV6, fc.nat(128)));
  fc.assert(
    fc.property(prefix, ([address, length]) => {
      const once = readPrefixList(`${address}/${length}`);
      assert.ok('prefixes' in once, address);
      const again = readPrefixList(printPrefix(once.prefixes[0]!));
      assert.deepEqual(again, once);
    }),
  );
});
