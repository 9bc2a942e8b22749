/** Rules for connections: the first one that holds, by name and address. */

import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import type { ConnectionMatch } from '../../src/model/routing-table.ts';
import { ConnectionRules } from '../../src/routing/connection-rules.ts';
import { connectionRuleOf } from '../support/tables.ts';

function rulesOf(...lists: readonly (readonly Partial<ConnectionMatch>[])[]): ConnectionRules {
  const whole = lists.map((matches) =>
    matches.map((match) => ({ sniHosts: [], subnets: [], ...match })),
  );
  return new ConnectionRules(whole.map((matches) => connectionRuleOf({ matches })));
}

test('a name is taken by the first rule that has it, a wildcard by every longer name', () => {
  const rules = rulesOf(
    [{ sniHosts: ['a.example.com'] }],
    [{ sniHosts: ['*.example.com', 'b.org'] }],
    [{ sniHosts: ['c.example.com', 'c.org'] }],
  );
  const names = ['a.example.com', 'b.example.com', 'b.org', 'c.example.com', 'c.org'];
  assert.deepEqual(
    names.map((name) => rules.match(name, '10.0.0.1')),
    [0, 1, 1, 1, 2],
  );
  for (const name of ['', 'example.com', '.example.com', 'x.org']) {
    assert.equal(rules.match(name, '10.0.0.1'), -1, name);
  }
  assert.ok(rules.needsName);
});

test('a rule without conditions takes what the ones before it do not', () => {
  const rules = rulesOf([{ sniHosts: ['a.org'] }], [], [{ sniHosts: ['b.org'] }]);
  assert.deepEqual(
    ['a.org', 'b.org', ''].map((name) => rules.match(name, '::1')),
    [0, 1, 1],
  );
  assert.ok(!rulesOf([], [{ subnets: ['::/0'] }]).needsName);
});

test('a range is of the original destination, and both conditions must hold', () => {
  const rules = rulesOf(
    [{ sniHosts: ['a.org'], subnets: ['10.0.0.0/8', 'fd00::/8'] }],
    [{ subnets: ['10.1.0.0/16'] }],
  );
  assert.equal(rules.match('a.org', '10.1.2.3'), 0);
  assert.equal(rules.match('a.org', 'fd00::7'), 0);
  assert.equal(rules.match('b.org', '10.1.2.3'), 1);
  assert.equal(rules.match('', '10.1.2.3'), 1);
  assert.equal(rules.match('a.org', '11.0.0.1'), -1);
});

test('names found in one step are those that asking each rule in turn would find', () => {
  const names = fc.constantFrom('a.org', 'b.org', '*.org', '*');
  const matches = fc.record({
    sniHosts: fc.array(names, { maxLength: 2 }),
    subnets: fc.constantFrom([], ['10.0.0.0/8']),
  });
  const lists = fc.array(fc.array(matches, { maxLength: 2 }), { maxLength: 5 });
  const property = fc.property(
    lists,
    fc.constantFrom('a.org', 'b.org', 'c.org', 'd.com', ''),
    fc.constantFrom('10.0.0.1', '11.0.0.1'),
    (all, name, address) => {
      const holds = ({ sniHosts, subnets }: ConnectionMatch) =>
        (sniHosts.length === 0 ||
          sniHosts.some((host) =>
            host.startsWith('*') ? name !== '' && name.endsWith(host.slice(1)) : host === name,
          )) &&
        (subnets.length === 0 || address.startsWith('10.'));
      const expected = all.findIndex((list) => list.length === 0 || list.some(holds));
      assert.equal(rulesOf(...all).match(name, address), expected);
    },
  );
  fc.assert(property);
});
