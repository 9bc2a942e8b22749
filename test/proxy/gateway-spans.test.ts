/**
 * What a Gateway records of a request: a SERVER of its arrival, and a child of it for each attempt.
 */

import assert from 'node:assert/strict';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, test } from 'node:test';
import { failure, failureByCode } from '../../src/model/failure.ts';
import { usualSecurity } from '../../src/model/security.ts';
import {
  type ExchangeRecord,
  Join,
  RecordFlag,
  RecordKind,
} from '../../src/telemetry/record/exchange-record.ts';
import { readExtra } from '../../src/telemetry/record/record-extra.ts';
import { usualChoices } from '../../src/telemetry/settings/tracing-choices.ts';
import { CertificateAuthority } from '../support/certificates.ts';
import {
  connectSecure,
  filesOf,
  gatewayOf,
  serverOf,
  startGateway,
} from '../support/gateway-fixture.ts';
import { planOf, policyText } from '../support/policies.ts';
import { startProxy } from '../support/proxy-fixture.ts';
import { answering, okWith, RawOrigin } from '../support/raw-origin.ts';
import { clusterOf, listenerOf, ruleOf, tableOf } from '../support/tables.ts';

const folder = mkdtempSync(join(tmpdir(), 'tracecar-gateway-spans-'));
after(() => rmSync(folder, { recursive: true, force: true }));
const authority = new CertificateAuthority(folder);

const TRACE = '0af7651916cd43dd8448eb211c80319c';
const PARENT = 'b7ad6b7169203331';
const traceparent = `traceparent: 00-${TRACE}-${PARENT}-01\r\n`;
const plain = gatewayOf([serverOf(['shop'])], false);

function getAt(host: string, fields = ''): string {
  return `GET /a?b HTTP/1.1\r\nHost: ${host}\r\n${fields}\r\n`;
}

function hex(...words: readonly number[]): string {
  return words.map((word) => (word >>> 0).toString(16).padStart(8, '0')).join('');
}

const spanOf = ({ spanId0, spanId1 }: ExchangeRecord) => hex(spanId0, spanId1);
const parentOf = ({ parentId0, parentId1 }: ExchangeRecord) => hex(parentId0, parentId1);
const traceOf = (record: ExchangeRecord) =>
  hex(record.traceId0, record.traceId1, record.traceId2, record.traceId3);
const kindsOf = (records: readonly ExchangeRecord[]) => records.map(({ kind }) => kind);

const { Client, Server } = RecordKind;

test('the arrival is a child of the caller’s span, the attempt a child of the arrival', async (t) => {
  const tls = filesOf(folder, authority.issue('shop'));
  const outside = { trustedHops: 1, takesProxyHeader: false };
  const gateway = await startGateway(t, gatewayOf([serverOf(['shop'], { tls })]), { outside });
  const { peer, downstream } = await connectSecure(t, gateway.port, authority, 'shop');
  const fields = `${traceparent}X-Forwarded-For: 192.0.2.7\r\nUser-Agent: phone\r\n`;
  await downstream.send(getAt('shop', fields));
  assert.equal((await downstream.response()).status, 200);
  await gateway.telemetry.recorded(2);
  const [attempt, arrival] = gateway.telemetry.records as [ExchangeRecord, ExchangeRecord];
  assert.deepEqual(kindsOf([arrival, attempt]), [Server, Client]);
  assert.deepEqual([traceOf(arrival), traceOf(attempt)], [TRACE, TRACE]);
  assert.equal(parentOf(arrival), PARENT);
  assert.equal(parentOf(attempt), spanOf(arrival));
  assert.notEqual(spanOf(attempt), spanOf(arrival));
  const sent = `traceparent: 00-${TRACE}-${spanOf(attempt)}-`;
  assert.ok(gateway.origin.received.includes(sent), 'upstream is a child of the attempt');
  assert.equal(attempt.join, Join.Gateway);
  // Who called: only the arrival; who was called: only the attempt.
  assert.equal(readExtra(arrival.extra).client, '192.0.2.7');
  assert.equal(readExtra(attempt.extra).client, '');
  assert.deepEqual([arrival.peerPort, attempt.peerPort], [peer.localPort, gateway.origin.port]);
  const isTls = ({ flags }: ExchangeRecord) => (flags & RecordFlag.Tls) !== 0;
  assert.deepEqual([isTls(arrival), isTls(attempt)], [true, false]);
  assert.ok(arrival.tlsUs > 0);
  assert.deepEqual([arrival.status, attempt.status], [200, 200]);
  assert.deepEqual([arrival.target, arrival.userAgent], ['/a?b', 'phone']);
  assert.deepEqual([arrival.clusterId, arrival.endpointId], [0, 0]);
  assert.equal(arrival.routeId, attempt.routeId);
  assert.ok(arrival.routeId > 0);
  assert.ok(arrival.totalUs >= attempt.totalUs);
  assert.ok(arrival.firstByteUs >= 0 && arrival.responseBytes > 0);
});

test('without a caller’s trace the arrival is its root; the next request begins another', async (t) => {
  const gateway = await startGateway(t, plain);
  const downstream = await gateway.connect();
  for (let request = 0; request < 2; request++) {
    await downstream.send(getAt('shop'));
    await downstream.response();
  }
  await gateway.telemetry.recorded(4);
  const { records } = gateway.telemetry;
  assert.deepEqual(kindsOf(records), [Client, Server, Client, Server]);
  for (const [attempt, arrival] of [records.slice(0, 2), records.slice(2)]) {
    assert.equal(arrival!.flags & RecordFlag.HasParent, 0);
    assert.equal(parentOf(attempt!), spanOf(arrival!));
  }
  assert.notEqual(traceOf(records[0]!), traceOf(records[2]!));
});

test('attempts are siblings under the arrival, which tells only how it ended', async (t) => {
  const good = await RawOrigin.start(answering(() => okWith('good')));
  t.after(() => good.close());
  // The first endpoint of the round refuses.
  const gateway = await startProxy(t, { table: tableOf([plain], [clusterOf([1, good.port])]) });
  const downstream = await gateway.connect();
  const { records } = gateway.telemetry;
  while (!records.some(({ attempt }) => attempt > 0)) {
    records.length = 0;
    await downstream.send(getAt('shop', traceparent));
    assert.equal((await downstream.response()).body, 'good');
  }
  assert.deepEqual(kindsOf(records), [Client, Client, Server]);
  const [first, second, arrival] = records as [ExchangeRecord, ExchangeRecord, ExchangeRecord];
  assert.equal(failureByCode(first.causeCode)?.cause, 'connect-refused');
  assert.deepEqual([second.causeCode, arrival.causeCode], [0, 0]);
  assert.deepEqual([parentOf(first), parentOf(second)], [spanOf(arrival), spanOf(arrival)]);
  assert.deepEqual([parentOf(arrival), arrival.status, arrival.attempt], [PARENT, 200, 0]);
});

test('an endpoint that fails is the attempt’s failure and the arrival’s, with its detail', async (t) => {
  const gateway = await startProxy(t, { table: tableOf([plain], [clusterOf([1])]) });
  const downstream = await gateway.connect();
  await downstream.send(getAt('shop'));
  const { status } = await downstream.response();
  await gateway.telemetry.recorded(2);
  const [attempt, arrival] = gateway.telemetry.records as [ExchangeRecord, ExchangeRecord];
  assert.deepEqual([attempt.status, arrival.status], [0, status]);
  assert.ok(status >= 500);
  assert.equal(arrival.causeCode, attempt.causeCode);
  assert.match(readExtra(arrival.extra).detail, /127\.0\.0\.1:1/);
});

interface Alone {
  readonly what: string;
  readonly sent: string;
  readonly status: number;
  readonly cause?: string;
  readonly policy?: string;
}

const alone: readonly Alone[] = [
  { what: 'a redirect', sent: getAt('old'), status: 301 },
  {
    what: 'a host that nobody serves',
    sent: getAt('nobody'),
    status: 404,
    cause: 'no-route',
  },
  {
    what: 'a target of another scheme',
    sent: 'GET https://shop/ HTTP/1.1\r\nHost: shop\r\n\r\n',
    status: 421,
    cause: 'misdirected',
  },
  {
    what: 'a head that is none',
    sent: 'GET /a b c HTTP/1.1\r\nHost: shop\r\n\r\n',
    status: 400,
    cause: 'protocol-error',
  },
  {
    what: 'a request that a policy denies',
    sent: 'DELETE / HTTP/1.1\r\nHost: shop\r\n\r\n',
    status: 403,
    cause: 'denied',
    policy: 'shop/no-delete',
  },
];

for (const { what, sent, status, cause, policy } of alone) {
  test(`${what} makes no attempt, and is a SERVER alone`, async (t) => {
    const noDelete = policyText(
      'no-delete',
      '{action: DENY, rules: [{to: [{operation: {methods: [DELETE]}}]}]}',
    );
    const servers = [serverOf(['shop']), serverOf(['old'], { action: 'redirect' })];
    const gateway = await startProxy(t, {
      table: {
        ...tableOf([gatewayOf(servers, false)], [clusterOf([1])]),
        security: { ...usualSecurity, authorization: planOf(noDelete) },
      },
    });
    const downstream = await gateway.connect();
    await downstream.send(sent);
    assert.equal((await downstream.response()).status, status);
    const [record] = gateway.telemetry.records;
    assert.equal(record!.kind, Server);
    assert.equal(record!.status, status);
    assert.equal(failureByCode(record!.causeCode)?.cause, cause);
    assert.equal(readExtra(record!.extra).client, '127.0.0.1');
    assert.ok(record!.proxyUs >= 0);
    const name = gateway.telemetry.names.names()[record!.policyId - 1];
    assert.equal(name?.split(' ')[0], policy);
    assert.equal(gateway.telemetry.records.length, 1);
  });
}

test('a caller that leaves ends both, and it is nobody’s error', async (t) => {
  const gateway = await startGateway(t, plain, {
    script: async (upstream) => {
      await upstream.until(() => upstream.received.includes('\r\n\r\n'), 'the request');
    },
  });
  const downstream = await gateway.connect();
  await downstream.send(getAt('shop'));
  await (await gateway.origin.connection(0)).untilReceived('\r\n\r\n');
  downstream.socket.resetAndDestroy();
  await gateway.telemetry.recorded(2);
  const { records } = gateway.telemetry;
  assert.deepEqual(kindsOf(records), [Client, Server]);
  for (const { causeCode, flags } of records) {
    assert.equal(causeCode, failure['client-gone'].code);
    assert.ok((flags & RecordFlag.DownstreamGone) !== 0);
  }
});

test('where an edge links, the arrival has the link, and its trace the attempt', async (t) => {
  const gateway = await startGateway(t, plain, {
    tracing: { edge: 'link', peers: ['192.0.2.0/24'], edgeResponseHeader: 'traceparent' },
  });
  const downstream = await gateway.connect();
  await downstream.send(getAt('shop', traceparent));
  const { head } = await downstream.response();
  await gateway.telemetry.recorded(2);
  const [attempt, arrival] = gateway.telemetry.records as [ExchangeRecord, ExchangeRecord];
  const link = [{ traceId: TRACE, spanId: PARENT }];
  assert.deepEqual(readExtra(arrival.extra).links, link);
  assert.deepEqual(readExtra(attempt.extra).links, []);
  assert.notEqual(traceOf(arrival), TRACE);
  assert.equal(traceOf(attempt), traceOf(arrival));
  assert.equal(parentOf(attempt), spanOf(arrival));
  const told = `traceparent;desc="00-${traceOf(arrival)}-${spanOf(arrival)}-`;
  assert.ok(head.includes(told), 'and whoever called is told of it');
});

test('headers to be captured are noted by the direction of each span', async (t) => {
  const gateway = await startGateway(t, plain, {
    script: answering(() => okWith('ok', 'X-Shard: 7\r\n')),
    tracing: {
      ...usualChoices,
      capturedHeaders: {
        inbound: { request: ['x-lane'], response: ['x-shard'] },
        outbound: { request: ['user-agent'], response: [] },
      },
    },
  });
  const downstream = await gateway.connect();
  await downstream.send(getAt('shop', 'X-Lane: blue\r\nUser-Agent: phone\r\n'));
  await downstream.response();
  await gateway.telemetry.recorded(2);
  const [attempt, arrival] = gateway.telemetry.records as [ExchangeRecord, ExchangeRecord];
  const headersOf = ({ extra }: ExchangeRecord) => [...readExtra(extra).headers];
  assert.deepEqual(headersOf(arrival), [
    [0, ['blue']],
    [1, ['7']],
  ]);
  assert.deepEqual(headersOf(attempt), [[0, ['phone']]]);
});

test('who is no gateway makes one span a request, as ever', async (t) => {
  const origin = await RawOrigin.start(answering(() => okWith('application')));
  t.after(() => origin.close());
  const sidecar = await startProxy(t, {
    table: tableOf([listenerOf([ruleOf()])], [clusterOf([origin.port])]),
  });
  const downstream = await sidecar.connect();
  await downstream.send(getAt('shop', traceparent));
  await downstream.response();
  await sidecar.telemetry.recorded(1);
  assert.deepEqual(kindsOf(sidecar.telemetry.records), [Client]);
  assert.equal(parentOf(sidecar.telemetry.records[0]!), PARENT);
});
