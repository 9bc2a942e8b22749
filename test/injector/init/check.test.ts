/**
 * What `tracecar init --check` finds: real listings of both back-ends, changed in one place at a time.
 */

import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';
import fc from 'fast-check';
import { comparedChains, readSaved } from '../../../injector/init/iptables-rules.ts';
import { nftDifferences } from '../../../injector/init/nft-listing.ts';
import { parseInitOptions } from '../../../injector/init/options.ts';
import { memberDifferences, ruleDifferences } from '../../../injector/init/rule-differences.ts';
import { nftTable } from '../../../injector/init/rules.ts';

const { rules } = parseInitOptions(
  [
    '--skip-inbound-ports=22,9000-9010',
    '--skip-outbound-ports=3306,5432',
    '--skip-outbound-cidrs=10.0.0.0/8,203.0.113.7,fd00::/8',
  ],
  {},
);
const read = (name: string) => readFileSync(join(import.meta.dirname, 'listings', name), 'utf8');
const nftJson = read('nft.json.golden');

interface NftItem {
  table?: { flags?: unknown };
  set?: { name: string; type: string; elem?: unknown[] };
  chain?: { name: string; hook: string; prio: number; policy: string };
  rule?: { chain: string; expr: unknown[] };
}

/** The kernel's listing after `change`, compared with what was asked for. */
function afterChange(change: (items: NftItem[]) => void): string[] {
  const listing = JSON.parse(nftJson) as { nftables: NftItem[] };
  change(listing.nftables);
  return nftDifferences(JSON.stringify(listing), nftTable(rules));
}

const items = (JSON.parse(nftJson) as { nftables: NftItem[] }).nftables;

test('what was applied does not differ', () => {
  assert.deepEqual(nftDifferences(nftJson, nftTable(rules)), []);
});

test('a release of nft that prints protocols as numbers lists the same', () => {
  const numbers = nftJson.replaceAll('"right": "tcp"', '"right": 6');
  assert.notEqual(numbers, nftJson);
  assert.deepEqual(nftDifferences(numbers, nftTable(rules)), []);
});

test('each rule, set and chain that is taken out is named alone', () => {
  let rulesSeen = 0;
  items.forEach((item, index) => {
    const lines = afterChange((all) => all.splice(index, 1));
    const { chain, set, rule } = item;
    if (rule !== undefined) {
      const text = nftTable(rules).chains.flatMap((each) => each.rules)[rulesSeen];
      rulesSeen += 1;
      assert.deepEqual(lines, [`the chain ${rule.chain} lacks its rule: ${text}`]);
    } else if (set !== undefined) {
      assert.deepEqual(lines, [`the table tracecar lacks its set ${set.name}`]);
    } else if (chain !== undefined) {
      assert.deepEqual(lines, [`the table tracecar lacks its chain ${chain.name}`]);
    }
  });
  assert.equal(rulesSeen, 17);
});

test('each member of a set that is taken out is named', () => {
  let seen = 0;
  items.forEach(({ set }, index) => {
    set?.elem?.forEach((_element, at) => {
      const lines = afterChange((all) => all[index]!.set!.elem!.splice(at, 1));
      seen += 1;
      assert.ok(lines.length >= 1, set.name);
      for (const line of lines) assert.match(line, new RegExp(`^the set ${set.name} lacks `));
    });
  });
  assert.equal(seen, 9);
});

test('a rule with another number, word or place is named', () => {
  items.forEach(({ rule }, index) => {
    if (rule === undefined) return;
    for (const [at, expression] of rule.expr.entries()) {
      const text = JSON.stringify(expression);
      for (const changed of [
        text.replace(/\d\d+/, '7'),
        text.replace('return', 'accept'),
        text.replace('"tcp"', '"udp"'),
        text.replace(/@\w+/, '@mine'),
        text.replace('"lo"', '"eth0"'),
        text.replace('==', '<'),
      ]) {
        if (changed === text) continue;
        const lines = afterChange((all) => {
          all[index]!.rule!.expr[at] = JSON.parse(changed);
        });
        assert.equal(lines.length, 2, changed);
        assert.match(lines[0]!, new RegExp(`^the chain ${rule.chain} lacks its rule: `));
        assert.match(lines[1]!, new RegExp(`^the chain ${rule.chain} has a rule too many: `));
      }
    }
  });
  const lines = afterChange((all) => {
    const at = all.findIndex(({ rule }) => rule?.chain === 'outbound');
    [all[at + 4], all[at + 5]] = [all[at + 5]!, all[at + 4]!];
  });
  assert.deepEqual(lines, [
    `the chain outbound has its rules in another order: where 'meta skuid 1337 ip6 daddr != 2001:db8::1 return' belongs stands 'oifname "lo" return'`,
  ]);
});

test('what somebody added is named', () => {
  const hooked = (all: NftItem[]) => all.find(({ chain }) => chain?.hook !== undefined)!.chain!;
  const counter = { counter: { packets: 0, bytes: 0 } };
  const cases: [(all: NftItem[]) => void, RegExp][] = [
    [(all) => all.push({ rule: { chain: 'outbound', expr: [counter] } }), /too many: \{"counter"/],
    [(all) => all.find(({ set }) => set)!.set!.elem!.push(443), /skip_in holds 443, which no/],
    [(all) => (all.find(({ table }) => table)!.table!.flags = 'dormant'), /the flag dormant/],
    [(all) => (hooked(all).prio = 10), /priority 10 policy accept, not/],
    [(all) => (hooked(all).policy = 'drop'), /policy drop, not/],
    [(all) => (all.find(({ set }) => set)!.set!.type = 'mark'), /is of type mark, not inet_serv/],
    [
      (all) => {
        const entered = { type: 'nat', hook: 'input', prio: 0, policy: 'accept' };
        Object.assign(all.find(({ chain }) => chain?.name === 'inbound')!.chain!, entered);
      },
      /type nat hook input priority 0 policy accept, not without hook/,
    ],
    [
      (all) => all.push({ chain: { name: 'mine', hook: 'input', prio: 0, policy: 'accept' } }),
      /a chain too many: mine/,
    ],
  ];
  for (const [change, expected] of cases) {
    const lines = afterChange(change);
    assert.equal(lines.length, 1, lines.join('\n'));
    assert.match(lines[0]!, expected);
  }
});

/** Differences of a listing of iptables-save, by family. */
function savedDifferences(family: 4 | 6, text: string): string[] {
  return comparedChains(rules, family, readSaved(text)).flatMap(({ chain, expected, found }) =>
    found === undefined ? [`no ${chain}`] : ruleDifferences(chain, expected, found),
  );
}

for (const [family, name] of [
  [4, 'iptables.txt'],
  [6, 'ip6tables.txt'],
] as const) {
  const text = read(name);
  const lines = text.split('\n');
  const ruleLines = lines.filter((line) => line.startsWith('-A '));

  test(`the listing of ${name} does not differ, nor does it with rules of others behind`, () => {
    assert.deepEqual(savedDifferences(family, text), []);
    const others = text.replace('COMMIT', '-A OUTPUT -j LOG\n-A POSTROUTING -j MASQUERADE\nCOMMIT');
    assert.deepEqual(savedDifferences(family, others), []);
  });

  test(`each rule of ${name} that is taken out, changed or doubled is named`, () => {
    for (const line of ruleLines) {
      const [, chain = '', rule = ''] = /^-A (\S+) (.*)$/.exec(line)!;
      const without = savedDifferences(family, text.replace(`${line}\n`, ''));
      assert.equal(without.length, 1);
      assert.ok(
        without[0]!.startsWith(`the chain ${chain} lacks its rule: ${rule[0]}`),
        `${without}`,
      );
      const doubled = savedDifferences(family, text.replace(line, `${line}\n${line}`));
      assert.equal(doubled.length, 1, line);
      assert.ok(doubled[0]!.startsWith(`the chain ${chain} has a rule too many: `), `${doubled}`);
      const changed = text.replace(line, `-A ${chain} -s 192.0.2.9/32 ${rule}`);
      assert.equal(savedDifferences(family, changed).length, 2, line);
    }
  });

  test(`a rule before the jump of ${name} and a chain that is gone are named`, () => {
    const before = text.replace('-A OUTPUT', '-A OUTPUT -d 9.9.9.9/32 -j RETURN\n-A OUTPUT');
    assert.deepEqual(savedDifferences(family, before), [
      'the chain OUTPUT has a rule too many: -d 9.9.9.9/32 -j RETURN',
    ]);
    const gone = lines.filter((line) => !line.includes('TRACECAR_IN')).join('\n');
    const sentinel = family === 4 ? '192.0.2.1/32' : '2001:db8::1/128';
    assert.deepEqual(savedDifferences(family, gone), [
      'no TRACECAR_IN',
      `the chain TRACECAR_OUT lacks its rule: -d ${sentinel} -p tcp -m tcp --dport 15006 -j TRACECAR_IN`,
      'the chain PREROUTING lacks its rule: -p tcp -j TRACECAR_IN',
    ]);
  });
}

test('however ranges are cut, the same numbers do not differ, and others do', () => {
  const span = fc.tuple(fc.nat(60), fc.nat(8)).map(([first, more]) => ({
    first: BigInt(first),
    last: BigInt(first + more),
    text: `${first}`,
  }));
  const numbersOf = (spans: readonly { first: bigint; last: bigint }[]) => {
    const numbers = new Set<bigint>();
    for (const { first, last } of spans) for (let n = first; n <= last; n += 1n) numbers.add(n);
    return numbers;
  };
  fc.assert(
    fc.property(fc.array(span), fc.array(span), (expected, found) => {
      const lines = memberDifferences('s', expected, found);
      const [wanted, held] = [numbersOf(expected), numbersOf(found)];
      const isSame = wanted.size === held.size && wanted.isSubsetOf(held);
      assert.equal(lines.length === 0, isSame, lines.join('\n'));
      const single = [...wanted].map((n) => ({ first: n, last: n, text: `${n}` }));
      assert.deepEqual(memberDifferences('s', expected, single), []);
      assert.deepEqual(memberDifferences('s', single, expected), []);
    }),
  );
});
