/**
 * Whose an HTTP request is: an export that is cut cuts its own requests, and what was sent is free when
 * its own are over.
 */

import assert from 'node:assert/strict';
import { createServer, request, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import { type TestContext, test } from 'node:test';
import { type ExportResult, ExportResultCode } from '@opentelemetry/core';
import type { SpanExporter } from '@opentelemetry/sdk-trace';
import { ByteBatches } from '../../src/telemetry/export/span-batches.ts';
import { JsonBytes } from '../../src/telemetry/span/json-bytes.ts';
import {
  EndlessAnswer,
  OwnTransport,
  type TransportAnswer,
} from '../../src/telemetry/transport/own-transport.ts';
import { watchRequests } from '../../src/telemetry/transport/request-watch.ts';

const limit = { timeout: 30_000 };

/** Answers at once, but for `/slow`: there the head of an answer, and the rest when the test says so. */
class Peer {
  readonly slow: ServerResponse[] = [];
  #onSlow: (() => void)[] = [];
  port = 0;

  static async start(t: TestContext): Promise<Peer> {
    const peer = new Peer();
    const server = createServer((asked, response) => {
      asked.resume();
      if (asked.url !== '/slow') {
        response.end('{}');
        return;
      }
      response.write(' ');
      peer.slow.push(response);
      for (const wake of peer.#onSlow.splice(0)) wake();
    });
    await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
    peer.port = (server.address() as AddressInfo).port;
    t.after(() => {
      server.closeAllConnections();
      server.close();
    });
    return peer;
  }

  async untilSlow(count: number): Promise<void> {
    while (this.slow.length < count) {
      await new Promise<void>((resolve) => this.#onSlow.push(resolve));
    }
  }

  /** Resolves when the request is closed, with what became of it. */
  send(path: string, onHead: () => void = () => undefined): Promise<TransportAnswer> {
    const closed = Promise.withResolvers<TransportAnswer>();
    let answer: TransportAnswer = { status: 'failure' };
    const url = `http://127.0.0.1:${this.port}${path}`;
    const post = request(url, { method: 'POST' }, (response) => {
      onHead();
      response.resume();
      response.on('end', () => {
        answer = { status: 'success' };
      });
      response.on('error', () => undefined);
    });
    post.on('error', () => undefined);
    post.on('close', () => closed.resolve(answer));
    post.end('spans');
    return closed.promise;
  }
}

/** A transport whose time is over when the test says so. */
function transportTo(peer: Peer, isWhole = false) {
  let expire: () => void = () => undefined;
  const head = Promise.withResolvers<void>();
  const transport = new OwnTransport(
    { send: () => peer.send('/slow', () => head.resolve()), shutdown: () => undefined },
    {
      isWhole,
      wakeUps: {
        after: (_delayMs, call) => {
          expire = call;
          return () => undefined;
        },
      },
    },
  );
  const answer = transport.send(Buffer.from('x'), 0);
  return { answer, isBegun: head.promise, expire: () => expire() };
}

test('an export whose time is over ends its own request and no other', limit, async (t) => {
  const peer = await Peer.start(t);
  const traces = transportTo(peer);
  const metrics = transportTo(peer);
  const nobodys = peer.send('/slow');
  await Promise.all([traces.isBegun, metrics.isBegun, peer.untilSlow(3)]);
  traces.expire();
  assert.deepEqual(await traces.answer, { status: 'failure' });
  for (const response of peer.slow) response.end();
  assert.deepEqual(await Promise.all([metrics.answer, nobodys]), [
    { status: 'success' },
    { status: 'success' },
  ]);
});

test('where an answer has to be whole, one without an end is a failure', limit, async (t) => {
  const metrics = transportTo(await Peer.start(t), true);
  await metrics.isBegun;
  metrics.expire();
  const { status, error } = await metrics.answer;
  assert.equal(status, 'failure');
  assert.ok(error instanceof EndlessAnswer);
});

test(
  'the memory of sent batches is used again while a request of others is under way',
  limit,
  async (t) => {
    const peer = await Peer.start(t);
    // In the group of nobody and in one of its own: neither is the batches' business.
    const others = [peer.send('/slow'), transportTo(peer).answer];
    await peer.untilSlow(2);
    const exporter = {
      export: (_spans: unknown, done: (result: ExportResult) => void) =>
        void peer.send('/').then(() => done({ code: ExportResultCode.SUCCESS })),
      shutdown: async () => undefined,
    } as unknown as SpanExporter;
    let memories = 0;
    const writer = {
      begin: () => undefined,
      add: () => undefined,
      finish: () => new Uint8Array(),
    };
    const newMemory = (): JsonBytes => {
      memories++;
      return new JsonBytes();
    };
    const batches = new ByteBatches(exporter, writer, newMemory, watchRequests());
    for (let batch = 0; batch < 50; batch++) {
      await new Promise<ExportResult>((resolve) => batches.newBatch().export(resolve));
    }
    assert.equal(memories, 1);
    for (let batch = 0; batch < 50; batch++) batches.newBatch().drop();
    assert.equal(memories, 1, 'also of batches that are given up before they are sent');
    for (const response of peer.slow) response.end();
    await Promise.all(others);
  },
);
