/**
 * Which rule answers: hosts by exactness, rules by order, matches by all their conditions. The last
 * test compares the index with a naive reading of the model, over generated tables and requests.
 */

import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import type { RequestView } from '../../src/model/request-view.ts';
import type {
  Listener,
  Match,
  NamedMatch,
  Rule,
  StringMatch,
  VirtualHost,
} from '../../src/model/routing-table.ts';
import { ruleIndex } from '../support/rule-index.ts';

interface PlainRequest {
  readonly method?: string;
  readonly hostname?: string;
  readonly path?: string;
  readonly query?: string | undefined;
  readonly fields?: Readonly<Record<string, string>>;
}

function view(request: PlainRequest): RequestView {
  const { method = 'GET', hostname = 'reviews', path = '/', query, fields = {} } = request;
  return { method, hostname, path, query, field: (name) => fields[name] };
}

const edits = { remove: [], set: [], add: [] };

function rule(route: string, ...matches: Partial<Match>[]): Rule {
  return {
    identity: route,
    resource: '',
    route,
    index: 0,
    origin: '',
    matches: matches.map((match) => ({
      path: undefined,
      method: undefined,
      authority: undefined,
      headers: [],
      query: [],
      ...match,
    })),
    backends: [],
    timeoutMs: Number.POSITIVE_INFINITY,
    requestHeaders: edits,
    responseHeaders: edits,
    broken: undefined,
  };
}

function listener(virtualHosts: readonly VirtualHost[], defaultHost = -1): Listener {
  const place = { address: '127.0.0.1', port: 0, direction: 'outbound' as const };
  return { name: 'test', ...place, tls: undefined, virtualHosts, defaultHost };
}

function host(domains: readonly string[], ...rules: Rule[]): VirtualHost {
  return { name: domains[0] ?? '', domains, rules };
}

function routed(virtualHosts: readonly VirtualHost[], request: PlainRequest, defaultHost = -1) {
  return ruleIndex(listener(virtualHosts, defaultHost)).match(view(request))?.route;
}

const exact = (value: string): StringMatch => ({ kind: 'exact', value });
const prefix = (value: string): StringMatch => ({ kind: 'prefix', value });
const regex = (source: string): StringMatch => ({
  kind: 'regex',
  source,
  regex: new RegExp(`^(?:${source})$`),
});
const present: StringMatch = { kind: 'present' };

test('an exact name beats wildcards, a longer wildcard a shorter one, all the star', () => {
  const hosts = [
    host(['*'], rule('star')),
    host(['*.com'], rule('short')),
    host(['*.example.com'], rule('long')),
    host(['api.example.com'], rule('exact')),
  ];
  assert.equal(routed(hosts, { hostname: 'api.example.com' }), 'exact');
  assert.equal(routed(hosts, { hostname: 'www.example.com' }), 'long');
  assert.equal(routed(hosts, { hostname: 'a.b.example.com' }), 'long');
  assert.equal(routed(hosts, { hostname: 'example.com' }), 'short');
  assert.equal(routed(hosts, { hostname: '.example.com' }), 'short');
  assert.equal(routed(hosts, { hostname: 'com' }), 'star');
});

test('an unknown host has no rule, unless the listener has a default host', () => {
  const hosts = [host(['reviews'], rule('reviews'))];
  assert.equal(routed(hosts, { hostname: '127.0.0.1' }), undefined);
  assert.equal(routed(hosts, { hostname: '127.0.0.1' }, 0), 'reviews');
  assert.equal(routed(hosts, { hostname: '' }, 0), 'reviews');
});

test('the first virtual host that names a domain keeps it', () => {
  const hosts = [host(['a'], rule('first')), host(['a', 'b'], rule('second'))];
  assert.equal(routed(hosts, { hostname: 'a' }), 'first');
  assert.equal(routed(hosts, { hostname: 'b' }), 'second');
});

test('the first rule whose match holds decides, however precise the later ones are', () => {
  const hosts = [
    host(
      ['reviews'],
      rule('wide', { path: prefix('/a') }),
      rule('precise', { path: exact('/a/b') }),
    ),
  ];
  assert.equal(routed(hosts, { path: '/a/b' }), 'wide');
});

test('a rule without a match always answers, and one that is broken shadows the rest too', () => {
  const broken: Rule = { ...rule('broken', { path: prefix('/x') }), broken: 'no-backend' };
  const hosts = [host(['reviews'], broken, rule('rest'))];
  assert.equal(routed(hosts, { path: '/x' }), 'broken');
  assert.equal(routed(hosts, { path: '/y' }), 'rest');
});

test('no rule answers when none matches, and no other host is asked', () => {
  const hosts = [host(['reviews'], rule('a', { path: exact('/a') })), host(['*'], rule('star'))];
  assert.equal(routed(hosts, { path: '/b' }), undefined);
});

test('all conditions of a match hold together, and any match of a rule suffices', () => {
  const both = { path: prefix('/a'), method: exact('POST') };
  const hosts = [host(['reviews'], rule('r', both, { headers: [{ name: 'x', value: present }] }))];
  assert.equal(routed(hosts, { path: '/a' }), undefined);
  assert.equal(routed(hosts, { path: '/a', method: 'POST' }), 'r');
  assert.equal(routed(hosts, { path: '/z', fields: { x: '' } }), 'r');
});

test('methods and paths are compared with regard to case', () => {
  const hosts = [host(['reviews'], rule('r', { path: exact('/A'), authority: exact('reviews') }))];
  assert.equal(routed(hosts, { path: '/A' }), 'r');
  assert.equal(routed(hosts, { path: '/a' }), undefined);
});

test('a header must be there: an absent one meets no condition, not even an empty text', () => {
  const withHeader = (value: StringMatch) => [
    host(['reviews'], rule('r', { headers: [{ name: 'x', value }] })),
  ];
  assert.equal(routed(withHeader(exact('')), {}), undefined);
  assert.equal(routed(withHeader(exact('')), { fields: { x: '' } }), 'r');
  assert.equal(routed(withHeader(regex('.*')), {}), undefined);
  assert.equal(routed(withHeader(exact('a,b')), { fields: { x: 'a,b' } }), 'r');
  assert.equal(routed(withHeader(regex('a')), { fields: { x: 'ab' } }), undefined);
});

test('query parameters are compared after decoding, the first of a name counts', () => {
  const withQuery = (name: string, value: StringMatch) => [
    host(['reviews'], rule('r', { query: [{ name, value }] })),
  ];
  assert.equal(routed(withQuery('a', exact('1')), { query: 'b=2&a=1' }), 'r');
  assert.equal(routed(withQuery('a', exact('1')), { query: 'a=2&a=1' }), undefined);
  assert.equal(routed(withQuery('a', exact('x y')), { query: 'a=x+y' }), 'r');
  assert.equal(routed(withQuery('a', exact('é')), { query: 'a=%C3%A9' }), 'r');
  assert.equal(routed(withQuery('é', present), { query: '%C3%A9=1' }), 'r');
  assert.equal(routed(withQuery('a', exact('%zz')), { query: 'a=%zz' }), 'r');
  assert.equal(routed(withQuery('a', exact('')), { query: 'a' }), 'r');
  assert.equal(routed(withQuery('a', exact('')), { query: 'a=&b' }), 'r');
  assert.equal(routed(withQuery('a', exact('b=c')), { query: 'a=b=c' }), 'r');
  assert.equal(routed(withQuery('a', present), { query: 'ab=1&=2&&' }), undefined);
  assert.equal(routed(withQuery('a', present), { query: undefined }), undefined);
});

// The naive oracle: reads the model word for word.

function naiveText(match: StringMatch | undefined, value: string | undefined): boolean {
  if (match === undefined) return true;
  if (value === undefined) return false;
  if (match.kind === 'present') return true;
  if (match.kind === 'regex') return new RegExp(`^(?:${match.source})$`).test(value);
  return match.kind === 'exact' ? value === match.value : value.startsWith(match.value);
}

function naiveParameter(query: string | undefined, name: string): string | undefined {
  return new URLSearchParams(query ?? '').get(name) ?? undefined;
}

function naiveMatch(match: Match, request: RequestView): boolean {
  const { path, method, authority, headers, query } = match;
  return (
    naiveText(path, request.path) &&
    naiveText(method, request.method) &&
    naiveText(authority, request.hostname) &&
    headers.every(({ name, value }) => naiveText(value, request.field(name))) &&
    query.every(({ name, value }) => naiveText(value, naiveParameter(request.query, name)))
  );
}

function naiveHost(domains: readonly string[], hostname: string): number {
  const scores = domains.map((domain) => {
    if (domain === hostname) return 1_000;
    if (domain === '*') return 1;
    const suffix = domain.slice(1);
    const covers = domain.startsWith('*.') && hostname.endsWith(suffix);
    return covers && hostname.length > suffix.length ? domain.length : 0;
  });
  return Math.max(...scores);
}

function naiveRoute(table: Listener, request: RequestView): Rule | undefined {
  let best = table.virtualHosts[table.defaultHost];
  let bestScore = 0;
  for (const candidate of table.virtualHosts) {
    const score = naiveHost(candidate.domains, request.hostname);
    if (score > bestScore) {
      best = candidate;
      bestScore = score;
    }
  }
  return best?.rules.find(
    ({ matches }) => matches.length === 0 || matches.some((match) => naiveMatch(match, request)),
  );
}

const texts = fc.constantFrom('', '/', '/a', '/a/b', '/ab', 'a', 'b', 'GET', 'POST', 'x y', 'é');
const conditions: fc.Arbitrary<StringMatch> = fc.oneof(
  texts.map(exact),
  texts.map(prefix),
  fc.constantFrom('/a.*', '[ab]+', 'GET|POST', '.*b', '').map(regex),
  fc.constant(present),
);
const maybe = fc.option(conditions, { nil: undefined });
const named: fc.Arbitrary<readonly NamedMatch[]> = fc.array(
  fc.record({ name: fc.constantFrom('a', 'b', 'x'), value: conditions }),
  { maxLength: 2 },
);
const matches = fc.record({
  path: maybe,
  method: maybe,
  authority: maybe,
  headers: named,
  query: named,
});
const domains = fc.constantFrom('a', 'b', 'a.b', '*.b', '*.a.b', '*', 'c.a.b');
const hosts = fc.record({
  domains: fc.array(domains, { minLength: 1, maxLength: 3 }),
  rules: fc.array(
    fc.array(matches, { maxLength: 2 }).map((list) => rule('', ...list)),
    { maxLength: 4 },
  ),
});
const requests = fc.record({
  method: fc.constantFrom('GET', 'POST'),
  hostname: fc.constantFrom('a', 'b', 'a.b', 'c.b', 'c.a.b', 'd.a.b', '.b', ''),
  path: fc.constantFrom('/', '/a', '/a/b', '/ab', '/b'),
  query: fc.constantFrom(undefined, '', 'a=a', 'a=b&x=x+y', 'x=%C3%A9&a', 'b=&a=a&a=b'),
  fields: fc.dictionary(fc.constantFrom('a', 'b', 'x'), texts, { maxKeys: 3 }),
});

test('the index answers as a naive reading of the table does', () => {
  fc.assert(
    fc.property(
      fc.array(hosts, { minLength: 1, maxLength: 4 }),
      fc.integer({ min: -1, max: 0 }),
      fc.array(requests, { minLength: 1, maxLength: 5 }),
      (list, defaultHost, asked) => {
        const table = listener(
          list.map((each) => ({ name: '', ...each })),
          defaultHost,
        );
        const index = ruleIndex(table);
        for (const request of asked) {
          const seen = view(request);
          assert.equal(index.match(seen), naiveRoute(table, seen));
        }
      },
    ),
    { numRuns: 2_000 },
  );
});
