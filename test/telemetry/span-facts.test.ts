/**
 * What spans say beyond a request and its answer: phases, TLS, the place of the rule, the join, why they
 * are exported, what the user asked for, how many traces they stand for.
 */

import assert from 'node:assert/strict';
import { test } from 'node:test';
import { failure } from '../../src/model/failure.ts';
import { type CustomTag, noTracingRules, type Rule } from '../../src/model/routing-table.ts';
import { telemetryLimits } from '../../src/model/telemetry-limits.ts';
import {
  type ExchangeRecord,
  Join,
  PolicyBit,
  RecordFlag,
  RecordKind,
  SampledBy,
} from '../../src/telemetry/record/exchange-record.ts';
import {
  addDetail,
  addIdentities,
  readExtra,
  subjectLine,
} from '../../src/telemetry/record/record-extra.ts';
import { EXTRA_BYTES_MAX } from '../../src/telemetry/record/record-layout.ts';
import { RecordSpan } from '../../src/telemetry/span/record-span.ts';
import { RuleBook, rulesMessage } from '../../src/telemetry/span/rule-book.ts';
import type { SpanSurroundings } from '../../src/telemetry/span/span-surroundings.ts';
import { listenerOf, ruleOf, tableOf } from '../support/tables.ts';
import { inbound, outbound } from './records.ts';
import { surroundings } from './surroundings.ts';

const names = ['', 'reviews', 'c2', 'v1'];

function spanOf(record: ExchangeRecord, other: Partial<SpanSurroundings> = {}): RecordSpan {
  return new RecordSpan(record, surroundings({ names, ...other }));
}

function attributesOf(record: ExchangeRecord): Record<string, unknown> {
  return { ...spanOf(record).attributes };
}

test('queue, look-up and handshake times are on the span when they were reached', () => {
  const times = { queueUs: 3.4, dnsUs: 0, tlsUs: 812.6 };
  const client = attributesOf(outbound(times));
  assert.equal(client['tracecar.time.queue_us'], 3);
  assert.equal(client['tracecar.time.dns_us'], 0);
  assert.equal(client['tracecar.time.tls_us'], 813);
  const server = attributesOf(inbound(times));
  assert.equal(server['tracecar.time.queue_us'], 3);
  assert.equal(server['tracecar.time.tls_us'], 813);
  assert.equal('tracecar.time.dns_us' in server, false);
});

test('TLS is on the span with its version; of plain text nothing is said', () => {
  const tls = { flags: RecordFlag.Tls, tlsVersion: 2 };
  for (const attributes of [attributesOf(inbound(tls)), attributesOf(outbound(tls))]) {
    assert.equal(attributes['tls.established'], true);
    assert.equal(attributes['tls.protocol.version'], '1.3');
  }
  const unknown = attributesOf(inbound({ flags: RecordFlag.Tls }));
  assert.equal(unknown['tls.established'], true);
  assert.equal('tls.protocol.version' in unknown, false);
  assert.equal('tls.established' in attributesOf(inbound()), false);
});

const caller = 'spiffe://cluster.local/ns/shop/sa/web';

test('a proved caller is on its SERVER span, its account as its service; a callee on CLIENT', () => {
  const names = ['', caller];
  const server = spanOf(inbound({ principalId: 1 }), { names }).attributes;
  assert.equal(server['tracecar.peer.identity'], caller);
  assert.equal(server['service.peer.name'], 'web');
  assert.equal(server['service.peer.namespace'], 'shop');
  const client = spanOf(outbound({ principalId: 1 }), { names }).attributes;
  assert.equal(client['tracecar.peer.identity'], caller);
  assert.equal('service.peer.name' in client, false, 'that is of its cluster');
  assert.equal('tracecar.peer.identity' in attributesOf(inbound()), false);
});

test('the span of a connection says who is at its other end, and over which TLS', () => {
  const flags = RecordFlag.Inbound | RecordFlag.Tls;
  const fields = { kind: RecordKind.Connection, flags, tlsVersion: 2, tlsUs: 812, principalId: 1 };
  const { attributes } = spanOf(inbound(fields), { names: ['', caller] });
  assert.equal(attributes['tracecar.peer.identity'], caller);
  assert.equal(attributes['service.peer.name'], 'web');
  assert.equal(attributes['tls.protocol.version'], '1.3');
  assert.equal(attributes['tracecar.time.tls_us'], 812);
});

test('a policy is on the span by what it did, with the place where it is written', () => {
  const names = ['', 'shop/nobody policies.yaml:3:1', 'shop/bare'];
  const policy = (policyBits: number, policyId = 1) =>
    Object.entries(spanOf(inbound({ policyId, policyBits }), { names }).attributes).filter(
      ([key]) => key.startsWith('tracecar.policy'),
    );
  const origin = ['tracecar.policy.origin', 'policies.yaml:3:1'];
  const denies = (name: string, why: string) => [
    ['tracecar.policy', name],
    ['tracecar.policy.reason', why],
  ];
  assert.deepEqual(policy(PolicyBit.Denied), [...denies('shop/nobody', 'deny'), origin]);
  const lacks = PolicyBit.Denied | PolicyBit.NoneAllows;
  assert.deepEqual(policy(lacks), [...denies('shop/nobody', 'none-allows'), origin]);
  assert.deepEqual(policy(PolicyBit.WouldDeny), [['tracecar.policy.would', 'shop/nobody'], origin]);
  assert.deepEqual(policy(PolicyBit.Audited), [['tracecar.policy.audit', 'shop/nobody'], origin]);
  assert.deepEqual(policy(PolicyBit.Denied, 2), denies('shop/bare', 'deny'));
  assert.deepEqual(policy(PolicyBit.Denied, 0), []);
});

test('a server that TLS is originated to is called by https, a peer of the mesh by http', () => {
  const host = { authority: 'api.example.com', flags: RecordFlag.Tls, tlsVersion: 2 };
  const outside = attributesOf(outbound(host));
  assert.equal(outside['url.full'], 'https://api.example.com/reviews/7');
  assert.equal(outside['server.port'], 443);
  const named = spanOf(outbound({ ...host, principalId: 1 }), { names: ['', caller] });
  assert.equal(named.attributes['url.full'], 'http://api.example.com/reviews/7');
  assert.equal(named.attributes['server.port'], 80);
});

test('whom the certificate of a client of a gateway names is on its span', () => {
  const extra = `a192.0.2.7\n${subjectLine('CN=clerk, O=Acme')}`;
  assert.equal(attributesOf(inbound({ extra }))['tls.client.subject'], 'CN=clerk, O=Acme');
  assert.ok(!('tls.client.subject' in attributesOf(inbound())));
});

test('what a failure was about is on the span, of a request and of a connection', () => {
  const extra = addDetail('', 'expected a, and b answered');
  const { code } = failure['tls-wrong-identity'];
  for (const kind of [RecordKind.Server, RecordKind.Client, RecordKind.Connection]) {
    const attributes = attributesOf(outbound({ kind, extra, causeCode: code }));
    assert.equal(attributes['tracecar.detail'], 'expected a, and b answered');
  }
  assert.ok(!('tracecar.detail' in attributesOf(outbound({ causeCode: code }))));
});

test('who was expected and who proved to be there instead are on the span', () => {
  const other = 'spiffe://cluster.local/ns/shop/sa/other';
  const { code } = failure['tls-wrong-identity'];
  const extra = addDetail(addIdentities('', caller, other), 'about');
  const attributes = attributesOf(outbound({ extra, causeCode: code }));
  assert.equal(attributes['tracecar.peer.expected'], caller);
  assert.equal(attributes['tracecar.peer.identity'], other);
  assert.equal(attributes['tracecar.detail'], 'about');
});

test('a detail is one line of what a record has bytes for, before all else that may be cut', () => {
  const attributes = (extra: string) =>
    readExtra(extra.slice(0, EXTRA_BYTES_MAX)) as ReturnType<typeof readExtra>;
  const odd = attributes(addDetail('a192.0.2.7', 'a\nc0:forged \u{1f600} \u0085 caf\u00e9'));
  assert.equal(odd.detail, 'a\\u{a}c0:forged \\u{1f600} \\u{85} caf\u00e9');
  assert.equal(odd.client, '192.0.2.7');
  assert.equal(odd.tags.size, 0);
  const notes = `c0:${'x'.repeat(250)}`;
  const long = attributes(addDetail(`${notes}\n${notes}\n${notes}`, 'd'.repeat(2_000)));
  assert.equal(long.detail.length, telemetryLimits.failureDetailCharsMax);
  assert.deepEqual(long.tags.get(0), [notes.slice(3)], 'whole lines, as many as there is room for');
});

test('a rule has the place where its own table has it written; one of two places has none', () => {
  const rule = (route: string, index: number, origin: string) => ruleOf({ route, index, origin });
  const table = (generation: number, list: readonly Rule[]) =>
    tableOf([listenerOf(list), listenerOf(list)], [], generation);
  const rules = new RuleBook();
  const origins = ['/etc/mesh/reviews.yaml:9:7', 'reviews.yaml:30:7', 'other.yaml:1:2'];
  rules.add(rulesMessage(table(3, [rule('reviews', 0, origins[0]!), rule('v1', 1, origins[1]!)])));
  rules.add(rulesMessage(table(4, [rule('reviews', 0, origins[1]!)])));
  rules.add(rulesMessage(table(5, [rule('reviews', 0, origins[0]!), rule('reviews', 0, 'x:1:1')])));
  const originOf = (fields: Partial<ExchangeRecord>) =>
    spanOf(outbound(fields), { rules }).attributes['tracecar.rule.origin'];
  assert.equal(originOf({ generation: 3, routeId: 1 }), 'reviews.yaml:9:7');
  assert.equal(originOf({ generation: 3, routeId: 3, ruleIndex: 1 }), 'reviews.yaml:30:7');
  assert.equal(originOf({ generation: 4, routeId: 1 }), 'reviews.yaml:30:7');
  assert.equal(originOf({ generation: 3, routeId: 1, ruleIndex: 1 }), undefined);
  assert.equal(originOf({ generation: 5, routeId: 1 }), undefined);
  assert.equal(originOf({ generation: 9, routeId: 1 }), undefined);
});

test('the client of a gateway is on its SERVER span; elsewhere it is the peer', () => {
  const peerAddress = '10.0.0.9';
  const span = attributesOf(inbound({ peerAddress, extra: 'h0:x\na192.0.2.7' }));
  assert.equal(span['client.address'], '192.0.2.7');
  assert.equal(span['network.peer.address'], peerAddress);
  assert.equal(attributesOf(inbound({ peerAddress }))['client.address'], peerAddress);
  assert.equal('client.address' in attributesOf(outbound()), false);
});

test('a join by a header names the header', () => {
  const joinOf = (fields: Partial<ExchangeRecord>) => {
    const correlationFields = ['x-request-id', 'x-lane'];
    const { attributes } = spanOf(outbound(fields), { correlationFields });
    return [attributes['tracecar.join'], attributes['tracecar.join.confidence']];
  };
  assert.deepEqual(joinOf({ join: Join.None }), ['none', undefined]);
  assert.deepEqual(joinOf({ join: Join.App }), ['app', 1]);
  assert.deepEqual(joinOf({ join: Join.Preload }), ['preload', 1]);
  assert.deepEqual(joinOf({ join: Join.Gateway }), ['gateway', 1]);
  assert.deepEqual(joinOf({ join: Join.Correlation }), ['correlation:x-request-id', 1]);
  assert.deepEqual(joinOf({ join: Join.Correlation, joinField: 1 }), ['correlation:x-lane', 1]);
});

test('every reason to export has its word', () => {
  const words = Object.values(SampledBy).map(
    (sampledBy) => attributesOf(inbound({ sampledBy }))['tracecar.sampled_by'],
  );
  assert.deepEqual(words, [
    undefined,
    ...['parent', 'ratio', 'error', 'slow', 'retry', 'denied', 'retro', 'debug', 'cap'],
  ]);
});

test('tags are literal, of the environment or of the request, and never one of our own keys', () => {
  const tags: readonly CustomTag[] = [
    { kind: 'literal', name: 'team', value: 'shop' },
    { kind: 'environment', name: 'pod', variable: 'POD', otherwise: '' },
    { kind: 'environment', name: 'site', variable: 'ABSENT', otherwise: 'home' },
    { kind: 'environment', name: 'gone', variable: 'ABSENT', otherwise: '' },
    { kind: 'header', name: 'lane', header: 'x-lane', otherwise: 'main' },
    { kind: 'header', name: 'user', header: 'x-user', otherwise: '' },
    { kind: 'literal', name: 'tracecar.route', value: 'mine' },
  ];
  const inboundRules = { ...noTracingRules.inbound, tags };
  const tracing = { ...noTracingRules, inbound: inboundRules };
  const rules = new RuleBook();
  rules.add(rulesMessage({ ...tableOf([], [], 3), tracing }, { POD: 'web-1' }));
  const own = (record: ExchangeRecord) => {
    const names = [...tags.map(({ name }) => name)];
    const { attributes } = spanOf(record, { rules });
    return Object.fromEntries(names.map((name) => [name, attributes[name]]));
  };
  const without = { team: 'shop', pod: 'web-1', site: 'home', gone: undefined, user: undefined };
  assert.deepEqual(own(inbound({ generation: 3 })), {
    ...without,
    lane: 'main',
    'tracecar.route': undefined,
  });
  const sent = own(inbound({ generation: 3, routeId: 1, extra: 'c4:blue:1\nc5:ann' }));
  assert.deepEqual(sent, { ...without, lane: 'blue:1', user: 'ann', 'tracecar.route': 'reviews' });
  assert.equal(own(outbound({ generation: 3 })).team, undefined);
});

test('captured headers are lists under their lower-case names', () => {
  const capturedHeaders = {
    inbound: { request: ['x-lane', 'accept'], response: ['x-cache'] },
    outbound: { request: [], response: [] },
  };
  const extra = 'h0:a\nh0:b\nh2:hit';
  const { attributes } = spanOf(inbound({ extra }), { capturedHeaders });
  assert.deepEqual(attributes['http.request.header.x-lane'], ['a', 'b']);
  assert.deepEqual(attributes['http.response.header.x-cache'], ['hit']);
  assert.equal('http.request.header.accept' in attributes, false);
  const client = spanOf(outbound({ extra }), { capturedHeaders }).attributes;
  assert.equal('http.request.header.x-lane' in client, false);
});

test('a trace that was drawn says out of how many, one that was kept for what it is does not', () => {
  const stateOf = (fields: Partial<ExchangeRecord>, ratio = 0.25) =>
    spanOf(outbound(fields), { ratio }).spanContext().traceState?.serialize();
  const own = { flags: RecordFlag.Sampled | RecordFlag.OwnThreshold };
  assert.equal(stateOf(own), 'ot=th:c');
  assert.equal(stateOf(own, 1), 'ot=th:0');
  assert.equal(stateOf(own, 0.01), 'ot=th:fd70a3d70a3d7');
  assert.equal(stateOf({ extra: 'tc8' }), 'ot=th:c8');
  assert.equal(stateOf({ extra: 'tx' }), undefined);
  assert.equal(stateOf({ flags: RecordFlag.Kept }), undefined);
  const rules = new RuleBook();
  const outboundRules = { ...noTracingRules.outbound, ratio: 0.5 };
  const tracing = { ...noTracingRules, outbound: outboundRules };
  rules.add(rulesMessage({ ...tableOf([], [], 3), tracing }));
  const span = spanOf(outbound({ ...own, generation: 3 }), { rules });
  assert.equal(span.spanContext().traceState?.serialize(), 'ot=th:8');
});

test('a trace that an edge did not continue is linked to', () => {
  const [traceId, spanId] = ['ab'.repeat(16), 'cd'.repeat(8)];
  const { links } = spanOf(inbound({ extra: `l${traceId}-${spanId}` }));
  assert.deepEqual(links, [{ context: { traceId, spanId, traceFlags: 0, isRemote: true } }]);
  assert.deepEqual(spanOf(inbound({ extra: 'labc-def' })).links, []);
});
