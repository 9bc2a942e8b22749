/**
 * Our JSON and our protobuf of a batch are the document that the exporters' own serializers make of the
 * same spans; protobuf as the viewer reads it, which is tested beside the exporters on its own.
 */

import assert from 'node:assert/strict';
import { test } from 'node:test';
import { OTLPTraceExporter } from '@opentelemetry/exporter-trace-otlp-http';
import { OTLPTraceExporter as ProtobufTraceExporter } from '@opentelemetry/exporter-trace-otlp-proto';
import { resourceFromAttributes } from '@opentelemetry/resources';
import { type Random, seededRandom } from '../../src/base/random.ts';
import { failure } from '../../src/model/failure.ts';
import { serializerOf } from '../../src/telemetry/export/span-exporters.ts';
import {
  ExchangeRecord,
  RecordFlag,
  RecordKind,
} from '../../src/telemetry/record/exchange-record.ts';
import { RecordText } from '../../src/telemetry/record/record-text.ts';
import { ClusterBook } from '../../src/telemetry/span/cluster-facts.ts';
import { JsonBytes } from '../../src/telemetry/span/json-bytes.ts';
import { ProtoBytes } from '../../src/telemetry/span/proto-bytes.ts';
import { RecordSpan } from '../../src/telemetry/span/record-span.ts';
import { RuleBook } from '../../src/telemetry/span/rule-book.ts';
import type { SpanSurroundings } from '../../src/telemetry/span/span-surroundings.ts';
import { TraceJson } from '../../src/telemetry/span/trace-json.ts';
import { TraceProto } from '../../src/telemetry/span/trace-proto.ts';
import { readTraces } from '../../src/viewer/otlp-protobuf.ts';
import { inbound, outbound, randomRecord } from './records.ts';
import { surroundings } from './surroundings.ts';

const schemaUrl = 'https://opentelemetry.io/schemas/1.44.0';
const clusters = new ClusterBook();
clusters.add({
  generation: 3,
  clusters: [
    {
      name: 'c2',
      serviceName: 'reviews',
      serviceNamespace: 'default',
      balancing: 'round-robin',
      candidates: 2,
    },
  ],
});
const rules = new RuleBook();
rules.add({
  generation: 3,
  origins: { routes: ['route'], indexes: [2], origins: ['r"outes.yaml:9:7'] },
  tags: {
    inbound: [{ name: 'team', value: 'shop' }],
    outbound: [
      { name: 'lane', value: '' },
      { name: 'tier', value: 'gold' },
    ],
  },
  ratios: { inbound: 0.25, outbound: undefined },
});
const around = surroundings({
  resource: resourceFromAttributes(
    { 'service.name': 'w"eb', 'process.pid': 7, 'a.b': true, 'c.d': 1.5, 'e.f': ['x', 'y\u00e9'] },
    { schemaUrl },
  ),
  scope: { name: 'tracecar', version: '1.2.3', schemaUrl },
  names: ['', 'route', 'c2', 'v1', '10.0.0.7:9080'],
  clusters,
  rules,
  correlationFields: ['x-request-id', 'x-correlation-id'],
  capturedHeaders: {
    inbound: { request: ['x-lane'], response: ['x-cache'] },
    outbound: { request: [], response: ['x-cache'] },
  },
  epochMs: 1_700_000_000_000.125,
});
const official = serializerOf(new OTLPTraceExporter())!;
const officialProtobuf = serializerOf(new ProtobufTraceExporter())!;

function textOf(bytes: Uint8Array | undefined): string {
  return new TextDecoder('utf8', { fatal: true }).decode(bytes);
}

/** The strings of a record as the ring has them, but of any length. */
function textFor(record: ExchangeRecord): RecordText {
  const { target, authority, userAgent, peerAddress, extra } = record;
  const parts = [target, authority, userAgent, peerAddress, extra].map((part) => Buffer.from(part));
  const text = new RecordText(Buffer.concat([Buffer.from('before'), ...parts]));
  text.target = 'before'.length;
  text.authority = text.target + parts[0]!.length;
  text.userAgent = text.authority + parts[1]!.length;
  text.peerAddress = text.userAgent + parts[2]!.length;
  text.extra = text.peerAddress + parts[3]!.length;
  text.end = text.extra + parts[4]!.length;
  return text;
}

/** One document of the records; their strings come from bytes, not from the records. */
function documentOf(json: TraceJson, records: readonly ExchangeRecord[], out = new JsonBytes()) {
  json.begin(out);
  for (const record of records) {
    const numbers = Object.assign(new ExchangeRecord(), record, noStrings);
    json.add(out, numbers, textFor(record));
  }
  return JSON.parse(textOf(json.finish(out)));
}

const noStrings = { target: '!', authority: '!', userAgent: '!', peerAddress: '!', extra: '!' };

/**
 * Written three times: the second time shapes are made, and the third time spans are copies of them.
 */
function assertSame(
  records: readonly ExchangeRecord[],
  other: Partial<SpanSurroundings> = {},
): void {
  const all = { ...around, ...other };
  const spans = records.map((record) => {
    const copy = Object.assign(new ExchangeRecord(), record);
    textFor(record).decode(copy);
    return new RecordSpan(copy, all);
  });
  const json = new TraceJson(all, new JsonBytes());
  const wanted = JSON.parse(textOf(official.serializeRequest(spans))) as Document;
  const out = new JsonBytes();
  for (let time = 0; time < 3; time++)
    assertAlike(documentOf(json, records, out) as Document, wanted);
  const proto = new TraceProto(all, new ProtoBytes());
  const wantedMessage = readMessage(officialProtobuf.serializeRequest(spans)!);
  const message = new ProtoBytes();
  for (let time = 0; time < 3; time++) {
    assertAlike(messageOf(proto, records, message), wantedMessage);
  }
}

/** Span by span: of a whole document a difference takes minutes to print. */
function assertAlike(actual: Document, wanted: Document): void {
  const spans = (document: Document) => document.resourceSpans[0]!.scopeSpans[0]!.spans;
  for (const [index, span] of spans(wanted).entries()) assert.deepEqual(spans(actual)[index], span);
  assert.deepEqual(actual, wanted);
}

interface Document {
  readonly resourceSpans: readonly { scopeSpans: readonly { spans: readonly object[] }[] }[];
}

function messageOf(
  proto: TraceProto,
  records: readonly ExchangeRecord[],
  out: ProtoBytes,
): Document {
  proto.begin(out);
  for (const record of records) {
    const numbers = Object.assign(new ExchangeRecord(), record, noStrings);
    proto.add(out, numbers, textFor(record));
  }
  return readMessage(proto.finish(out));
}

function readMessage(bytes: Uint8Array): Document {
  const document = readTraces(Buffer.from(bytes), { depthMax: 20, valuesMax: 1e6 });
  return JSON.parse(JSON.stringify(document), withDefaults) as Document;
}

/** What is 0 or empty may be written or left out, in protobuf. */
function withDefaults(key: string, value: unknown): unknown {
  const isDefault = value === 0 && /^dropped.*Count$|^code$/.test(key);
  if (isDefault || (key === 'status' && JSON.stringify(value) === '{}')) return undefined;
  return value;
}

test('random records become the same document', () => {
  const random = seededRandom(11);
  const records = Array.from({ length: 400 }, () => randomRecord(random));
  assert.ok(records.some(({ kind }) => kind === RecordKind.Connection));
  assertSame(records);
});

test('connections that differ in name and bytes alone keep their own', () => {
  const record = { kind: RecordKind.Connection, flags: RecordFlag.Sampled, method: 3 };
  const names = ['a.example', 'b.example', 'c.example', ''];
  assertSame(names.map((target, requestBytes) => outbound({ ...record, target, requestBytes })));
});

test('a root, a child, both kinds and every routing name become the same document', () => {
  const child = RecordFlag.HasParent | RecordFlag.Sampled | RecordFlag.RandomId;
  assertSame([
    outbound({ ...routing, flags: RecordFlag.Sampled }),
    inbound({ ...routing, flags: child, parentId0: -2, parentId1: 5 }),
  ]);
});

test('text that JSON escapes, that is not ASCII or not Unicode becomes the same document', () => {
  for (const text of ['"', '\\', '\u0000\n\u007f', 'caf\u00e9 \u4e16\u{1f600}', '\u2028']) {
    assertSame([inbound({ target: `/${text}?${text}`, userAgent: text, authority: text })]);
  }
});

test('a name that is not Unicode becomes the same document', () => {
  assertSame([outbound({ routeId: 1 })], { names: ['', '\ud800 alone'] });
});

test('more callers than shapes are kept become the same document', () => {
  const callers = Array.from({ length: 1_500 }, (_, index) => `10.0.${index >> 8}.${index & 255}`);
  assertSame(callers.map((peerAddress) => inbound({ peerAddress })));
});

/** A record of one shape with `other`, all of whose slots are drawn from `random`. */
function similar(
  random: Random,
  make: typeof inbound,
  other: Partial<ExchangeRecord>,
): ExchangeRecord {
  const drawn = randomRecord(random);
  const text = drawn.target.replaceAll('?', '/');
  const hasQuery = random.u32() % 2 === 0;
  return make({
    ...other,
    traceId0: drawn.traceId0,
    traceId3: drawn.traceId3,
    spanId0: drawn.spanId0,
    spanId1: drawn.spanId1,
    parentId0: drawn.parentId0,
    parentId1: drawn.parentId1,
    startMs: drawn.startMs,
    totalUs: drawn.totalUs,
    connectUs: drawn.attempt * 0.3,
    requestUs: drawn.status,
    firstByteUs: drawn.weight,
    responseUs: drawn.join,
    proxyUs: drawn.routeId,
    connectionId: drawn.connectionId + 1,
    connectionRequests: drawn.connectionRequests,
    peerPort: drawn.peerPort + 1,
    target: hasQuery ? `/${text}?${text}=1&${text}` : `/${text}`,
  });
}

const routing = { routeId: 1, clusterId: 2, subsetId: 3, endpointId: 4, generation: 3, weight: 60 };

test('spans that differ in identity or policy alone keep their own', () => {
  const record = { flags: RecordFlag.Sampled, routeId: 1 };
  const facts: Partial<ExchangeRecord>[] = [
    { principalId: 1 },
    { principalId: 2 },
    { policyId: 3, policyBits: 1 },
    { policyId: 3, policyBits: 2 },
    { policyId: 4, policyBits: 2 },
  ];
  assertSame(facts.map((fact) => inbound({ ...record, ...fact })));
});

for (const make of [inbound, outbound]) {
  test(`spans of one shape that differ in every slot become the same document: ${make.name}`, () => {
    const random = seededRandom(5);
    const flags = RecordFlag.Sampled | RecordFlag.HasParent | RecordFlag.ConnectionReused;
    const records = Array.from({ length: 200 }, () => similar(random, make, { ...routing, flags }));
    assertSame(records);
  });

  test(`what fits no slot is between spans that do, in the same document: ${make.name}`, () => {
    const { names } = around;
    const odd: Partial<ExchangeRecord>[] = [
      ...[9_999_999, 10_000_000, 3.7e12].map((us) => ({ firstByteUs: us, proxyUs: us })),
      ...[0, 2 ** 31 - 1].map((count) => ({ connectionId: 1, connectionRequests: count })),
      { connectionId: -5 },
      { connectionId: 1, connectionRequests: -1 },
      { connectUs: -1, requestUs: -1, firstByteUs: -1, responseUs: -1, proxyUs: -1 },
      { firstByteUs: 0.49, proxyUs: 0.5 },
      { peerPort: 0 },
      { peerPort: 65_535 },
      { peerAddress: '' },
      { authority: '' },
      { target: '' },
      { target: '*' },
      { target: 'http://other/x' },
      { target: '/?' },
      { target: '/?a' },
      { target: '/a?b?c' },
      { target: '/a&sig=1' },
      { startMs: -1.6e12 },
      { startMs: 9e12 },
      { userAgent: 'other', authority: 'revi', peerAddress: 'ews:9080' },
      { queueUs: 0, dnsUs: 3, tlsUs: 400 },
      { queueUs: 1e7 },
      { dnsUs: 12_345_678 },
      { tlsUs: 1e7 },
      { tlsVersion: 2 },
      { join: 3, joinField: 1 },
      { join: 3, joinField: 7 },
      { ruleIndex: 1 },
      { flags: RecordFlag.Sampled | RecordFlag.OwnThreshold },
      { flags: RecordFlag.Kept, sampledBy: 7 },
      { extra: 'tc' },
      { extra: `l${'a'.repeat(32)}-${'b'.repeat(16)}\nl${'c'.repeat(32)}-${'d'.repeat(16)}` },
      { extra: 'c0:blue\nh0:"x"\nh0:y\nh1:z\nt\nlx\nc:\n?' },
      { method: 0, extra: 'mBREW' },
      { causeCode: failure.denied.code, extra: 'dno rule lets "x" in: caf\xe9\na192.0.2.7\nsCN=a' },
      { causeCode: failure['tls-wrong-identity'].code, extra: 'dabout\nespiffe://a\npspiffe://b' },
      { flags: RecordFlag.Sampled | RecordFlag.Tls, tlsVersion: 2 },
      { routeId: names.length },
    ];
    assertSame(odd.flatMap((each) => [make(routing), make({ ...routing, ...each })]));
  });

  test(`no secret of a query is in a copy: ${make.name}`, () => {
    const secrets = ['AWSAccessKeyId', 'Signature', 'sig', 'X-Amz-Credential'];
    secrets.push('X-Amz-Security-Token', 'X-Amz-Signature', 'X-Goog-Signature');
    const out = new JsonBytes();
    const json = new TraceJson(around, out);
    for (const name of secrets) {
      const encoded = `%${name.charCodeAt(0).toString(16)}${name.slice(1)}`;
      const second = `${name[0]}%${name.charCodeAt(1).toString(16)}${name.slice(2)}`;
      const names = [name, name.toLowerCase(), name.toUpperCase(), encoded, second];
      const before = ['', 'a=1&', '&?&', '?', 'a=1;', 'a&amp;', 'a=/?'];
      const targets = names.flatMap((each) => before.map((at) => `/p?${at}${each}=s3cret`));
      for (const target of targets) {
        const records = [make({ target: '/p?harmless=1' }), make({ target })];
        assertSame(records);
        for (let time = 0; time < 3; time++) documentOf(json, records, out);
        assert.ok(!textOf(out.written()).includes('s3cret'), target);
      }
    }
  });
}

test('strings are made of the first two spans that are alike, in both forms', () => {
  const [jsonOut, protoOut] = [new JsonBytes(), new ProtoBytes()];
  const json = new TraceJson(around, jsonOut);
  const proto = new TraceProto(around, protoOut);
  let decoded = 0;
  for (let time = 0; time < 5; time++) {
    const text = textFor(outbound({ firstByteUs: time }));
    const decode = text.decode.bind(text);
    text.decode = (record) => {
      decoded++;
      decode(record);
    };
    json.add(jsonOut, Object.assign(outbound(), noStrings), text);
    proto.add(protoOut, Object.assign(outbound(), noStrings), text);
  }
  assert.equal(decoded, 4);
});

test('the third span that is like others is a copy of a shape, with blanks before its numbers', () => {
  const out = new JsonBytes();
  const json = new TraceJson(around, out);
  const blanks = [1, 2, 3].map(() => {
    documentOf(json, [outbound({ firstByteUs: 321 })], out);
    return textOf(out.written()).includes('"intValue":    321}');
  });
  assert.deepEqual(blanks, [false, false, true]);
});

test('new facts of a cluster are in the next span', () => {
  const book = new ClusterBook();
  const json = new TraceJson({ ...around, clusters: book }, new JsonBytes());
  const candidatesOf = () => {
    const { attributes } = documentOf(json, [outbound(routing)]).resourceSpans[0].scopeSpans[0]
      .spans[0];
    return attributes.find(({ key }: { key: string }) => key === 'tracecar.lb.candidates')?.value;
  };
  for (const candidates of [2, 3]) {
    const facts = { name: 'c2', serviceName: 'x', serviceNamespace: '', candidates };
    book.add({ generation: 3, clusters: [{ ...facts, balancing: 'round-robin' }] });
    const found = [candidatesOf(), candidatesOf(), candidatesOf()];
    assert.deepEqual(found, new Array(3).fill({ intValue: candidates }));
  }
});

test('times from zero to hours, and numbers beyond 32 bits, become the same document', () => {
  const times = [0, 0.0004, 1, 999.9, 1e6, 3.7e12];
  assertSame(
    times.map((startMs) =>
      outbound({ startMs, totalUs: startMs, firstByteUs: startMs, weight: 2 ** 31 }),
    ),
  );
});

test('limits on attributes become the same document', () => {
  for (const attributesMax of [0, 1, 7, 128]) {
    assertSame([outbound(), inbound({ userAgent: 'curl/8' })], {
      attributesMax,
      attributeLengthMax: 3,
    });
  }
});

test('a number that is not whole is a double', () => {
  const record = outbound({ weight: 0.5 });
  assertSame([record]);
  const { attributes } = documentOf(new TraceJson(around, new JsonBytes()), [record])
    .resourceSpans[0].scopeSpans[0].spans[0];
  const weight = attributes.find(({ key }: { key: string }) => key === 'tracecar.weight');
  assert.deepEqual(weight.value, { doubleValue: 0.5 });
});
