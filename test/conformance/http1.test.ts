/**
 * The HTTP/1.1 corpus through a real proxy: what a downstream sent, what an upstream got.
 *
 * Every case goes whole and in single bytes (heads of 64 KiB in larger pieces). The oracle is a raw
 * TCP recorder: of a refused head nothing arrived; of a refused body no complete message arrived
 * and the connection was destroyed; what passes arrived as the corpus says. Responses the other
 * way.
 */

import assert from 'node:assert/strict';
import { type TestContext, test } from 'node:test';
import { type ProxyFixture, startPair } from '../support/proxy-fixture.ts';
import { cutMessage, type RawConnection } from '../support/raw-connection.ts';
import type { RawOrigin } from '../support/raw-origin.ts';
import { type CorpusCase, type CorpusMessage, readCorpus } from './http1/corpus.ts';

/** A case in more pieces than this would only test patience. */
const PIECES_MAX = 300;

const reply = 'HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n';

type Pair = ProxyFixture & { origin: RawOrigin };

for (const file of readCorpus()) {
  const requests = file.cases.filter((each) => each.role === 'request');
  const responses = file.cases.filter((each) => each.role === 'response');
  for (const split of ['whole', 'split'] as const) {
    if (requests.length !== 0) {
      test(`section ${file.section}: ${requests.length} requests, ${split}`, async (t) => {
        const pair = await startPair(t, answerRequests);
        for (const each of requests) await runRequest(pair, each, split);
      });
    }
    if (responses.length !== 0) {
      test(`section ${file.section}: ${responses.length} responses, ${split}`, async (t) => {
        for (const each of responses) await runResponse(t, each, split);
      });
    }
  }
}

/** Answers every whole request that arrives; a broken one stays without an answer. */
async function answerRequests(connection: RawConnection): Promise<void> {
  let from = 0;
  for (;;) {
    let end = -1;
    const isDone = () => {
      const cut = cutMessage(connection.received, from, 'request', false);
      end = cut?.end ?? -1;
      return cut !== undefined || connection.ending !== 'open' || connection.isClosed;
    };
    await connection.until(isDone, 'a request or the end');
    if (end === -1) {
      connection.finish();
      return;
    }
    from = end;
    await connection.send(reply);
  }
}

async function runRequest(pair: Pair, each: CorpusCase, split: 'whole' | 'split'): Promise<void> {
  const { origin } = pair;
  const before = origin.connections.length;
  const downstream = await pair.connect();
  const context = `${each.id} ${each.title} (${split})`;
  const sending = sendPieces(downstream, each.bytes, split);
  const { refused } = each.expect;
  if (refused === undefined) {
    const messages = each.expect.pass ?? each.expect.sanitise ?? [];
    for (let index = 0; index < messages.length; index++) {
      const isHead = /^HEAD /.test(messages[index]!.head);
      const response = await downstream.response(isHead);
      assert.equal(response.status, 200, `${context}: ${response.body}`);
    }
    await sending;
    if (each.expect.unread !== undefined) assert.equal(await downstream.ended(), 'fin', context);
    checkMessages(origin.connections.slice(before), messages, context);
  } else {
    if (refused.reason === 'BodyCut') {
      await sending;
      downstream.finish();
    } else {
      const response = await downstream.response();
      assert.equal(response.status, refused.status, `${context}: ${response.body}`);
      assert.match(response.head, new RegExp(`^x-tracecar-cause: ${refused.cause}$`, 'm'), context);
    }
    await downstream.ended();
    const arrived = origin.connections.slice(before);
    if (refused.at === 'head') {
      assert.equal(arrived.map(({ received }) => received).join(''), '', `${context}: arrived`);
    }
    for (const upstream of arrived) {
      await upstream.closed();
      const cut = cutMessage(upstream.received, 0, 'request', false);
      assert.equal(cut, undefined, `${context}: a complete request reached the upstream`);
    }
  }
  downstream.socket.destroy();
  // No connection of this case may serve the next one, so that what arrives belongs to one case.
  for (const upstream of origin.connections.slice(before)) upstream.socket.destroy();
}

function checkMessages(
  arrived: readonly RawConnection[],
  messages: readonly CorpusMessage[],
  context: string,
): void {
  const text = arrived.map((upstream) => upstream.received).join('');
  let from = 0;
  for (const message of messages) {
    const cut = cutMessage(text, from, 'request', false);
    assert.ok(cut !== undefined, `${context}: no whole message arrived`);
    assert.equal(withoutOurs(`${cut.head}\r\n\r\n`), message.head, context);
    assert.equal(cut.body, message.body ?? '', context);
    if (message.trailers !== undefined && message.trailers !== '') {
      assert.ok(text.slice(from, cut.end).endsWith(`${message.trailers}\r\n`), context);
    }
    from = cut.end;
  }
  assert.equal(text.slice(from), '', `${context}: more arrived`);
}

/** Without the lines that the proxy adds at the end of every request head. */
const ours =
  /traceparent: .*\r\ntracestate: tracecar=01.{9}\r\n(x-request-id: .*\r\n)?(Host: 127\.0\.0\.1:\d+\r\n)?\r\n$/;

function withoutOurs(head: string): string {
  assert.match(head, ours);
  return head.replace(ours, '\r\n');
}

async function runResponse(
  t: TestContext,
  each: CorpusCase,
  split: 'whole' | 'split',
): Promise<void> {
  const context = `${each.id} ${each.title} (${split})`;
  const pair = await startPair(t, async (upstream) => {
    await upstream.untilReceived('\r\n\r\n');
    await sendPieces(upstream, each.bytes, split);
    if (isCloseDelimited(each) || isCut(each)) upstream.finish();
  });
  const downstream = await pair.connect();
  await downstream.send(`${each.requestMethod} /x HTTP/1.1\r\nHost: a\r\n\r\n`);
  const toHead = each.requestMethod === 'HEAD';
  const { refused } = each.expect;
  if (refused === undefined) {
    const [message] = each.expect.pass ?? each.expect.sanitise ?? [];
    const response = await downstream.response(toHead);
    const wanted = message!.head.replace('Connection: close\r\n', 'Transfer-Encoding: chunked\r\n');
    assert.equal(`${response.head}\r\n\r\n`, wanted, context);
    assert.equal(response.body, message!.body ?? '', context);
    if (each.expect.unread !== undefined) await (await pair.origin.connection(0)).ended();
  } else {
    await checkRefusedResponse(downstream, toHead, refused.cause, context);
    await (await pair.origin.connection(0)).ended();
  }
}

/** Either a 502 with the cause, or, when the head had gone, a response that is seen to be cut. */
async function checkRefusedResponse(
  downstream: RawConnection,
  toHead: boolean,
  cause: string,
  context: string,
): Promise<void> {
  const isSettled = () =>
    downstream.ending !== 'open' ||
    cutMessage(downstream.received, 0, toHead ? 'head-response' : 'response', false) !== undefined;
  await downstream.until(isSettled, 'a reply or the end');
  if (downstream.received.startsWith('HTTP/1.1 502')) {
    assert.match(downstream.received, new RegExp(`x-tracecar-cause: ${cause}\r\n`), context);
    return;
  }
  assert.equal(downstream.ending, 'reset', `${context}: ${downstream.received}`);
  const whole = cutMessage(downstream.received, 0, 'response', false);
  assert.equal(whole, undefined, `${context}: a bad response was made to look whole`);
}

function isCloseDelimited(each: CorpusCase): boolean {
  const [message] = each.expect.pass ?? each.expect.sanitise ?? [];
  return message?.head.includes('Connection: close') === true;
}

function isCut(each: CorpusCase): boolean {
  return each.expect.refused?.reason === 'BodyCut';
}

async function sendPieces(
  connection: RawConnection,
  bytes: Buffer,
  split: 'whole' | 'split',
): Promise<void> {
  const step = split === 'whole' ? bytes.length : Math.max(1, Math.ceil(bytes.length / PIECES_MAX));
  for (let at = 0; at < bytes.length; at += step) {
    if (connection.ending !== 'open' || connection.socket.destroyed) return;
    await connection.send(bytes.subarray(at, at + step));
    if (split === 'split') await new Promise<void>((resolve) => setImmediate(resolve));
  }
}
