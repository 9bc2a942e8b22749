/**
 * What other parsers say about the same bytes: llhttp (strict, Node's own) and http-parser-js.
 *
 * Two rules. What we take, llhttp takes too and reads the same message in it: so what llhttp refuses,
 * we refuse. And what we write is read by both as the message that was sent, less its hop's fields.
 */

import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import type { MessageHead } from '../../src/wire/http1/message-head.ts';
import { normalise } from '../../src/wire/http1/target.ts';
import { readCorpus } from '../conformance/http1/corpus.ts';
import { type DrivenMessage, drive, type Outcome, whole } from './drive.ts';
import {
  brokenStream,
  type GeneratedMessage,
  printMessage,
  request,
  response,
} from './generate.ts';
import { httpParserJs, llhttp, type OracleMessage } from './oracle.ts';

type Role = 'request' | 'response';

interface SentMessage {
  readonly method: string;
  readonly target: string;
  readonly status: number;
  readonly fields: readonly [name: string, value: string][];
}

/** The bytes through our readers, with every head as it was sent. */
function readOurs(bytes: Buffer, role: Role): { outcome: Outcome; sent: SentMessage[] } {
  const sent: SentMessage[] = [];
  const onHead = (head: MessageHead) => {
    sent.push({
      method: head.view.method,
      target: role === 'request' ? head.text.slice(head.targetStart, head.targetEnd) : '',
      status: head.status,
      fields: Array.from({ length: head.count }, (_, index) => [
        head.name(index),
        head.value(index),
      ]),
    });
  };
  return { outcome: drive(whole(bytes), { role, onHead }), sent };
}

/**
 * Framing fields as trailers: llhttp refuses the message, we drop them as RFC 9110 section 6.5.1 asks
 * (reliability.md row 125), and nobody behind us sees them.
 */
const framingTrailer =
  /\r\n0+(;[^\r\n]*)?\r\n([^\r\n]+\r\n)*(content-length|transfer-encoding|connection|upgrade)\s*:/i;

/** Compares with llhttp when we took all the bytes; returns whether there was something to compare. */
function compareTaken(bytes: Buffer, role: Role): boolean {
  const { outcome, sent } = readOurs(bytes, role);
  const { messages, refused, unread, held } = outcome;
  if (refused !== undefined || held > 0 || messages.length === 0) return false;
  if (framingTrailer.test(bytes.toString('latin1'))) return false;
  const theirs = llhttp(bytes.subarray(0, bytes.length - unread), role);
  assert.equal(theirs.error, undefined);
  const ours = messages.map(({ body }, index) => ({ ...sent[index]!, body }));
  const compared = theirs.messages.map(({ trailers, complete, ...rest }) => rest);
  assert.deepEqual(ours, compared);
  assert.ok(theirs.messages.every((message) => message.complete));
  return true;
}

for (const [role, message] of [
  ['request', request],
  ['response', response],
] as const) {
  test(`llhttp takes every ${role} that we take and reads the same in it`, () => {
    let compared = 0;
    fc.assert(
      fc.property(brokenStream(message), (bytes) => {
        if (compareTaken(bytes, role)) compared++;
      }),
      { numRuns: 4000 },
    );
    assert.ok(compared > 1000, `only ${compared} streams were taken`);
  });

  test(`llhttp and http-parser-js read our ${role} as the one that was sent`, () => {
    fc.assert(
      fc.property(message, (sent) => comparePrinted(sent, role)),
      { numRuns: 1500 },
    );
  });
}

test('llhttp takes every control of the corpus and reads the same in it', () => {
  // llhttp does not know which request a response answers, so it expects a body after HEAD.
  const controls = readCorpus()
    .flatMap(({ cases }) => cases)
    .filter(({ expect, requestMethod }) => !expect.refused && requestMethod !== 'HEAD')
    // It stops for good at an upgrade, which we strip.
    .filter(({ bytes }) => !bytes.toString('latin1').includes('Upgrade: '));
  let compared = 0;
  for (const { bytes, role } of controls) if (compareTaken(bytes, role)) compared++;
  // Rows 125 and 199 are the two with framing trailers.
  assert.equal(compared, controls.length - 2);
});

const hopNames = new Set([
  'connection',
  'keep-alive',
  'proxy-connection',
  'te',
  'transfer-encoding',
  'upgrade',
]);

/** The fields that must arrive: without those of the hop, Content-Length as a number. */
function forwardable(fields: OracleMessage['fields']): [string, string][] {
  const nominated = fields
    .filter(([name]) => name.toLowerCase() === 'connection')
    .flatMap(([, value]) => value.split(',').map((member) => member.trim().toLowerCase()));
  return fields
    .filter(([name]) => !hopNames.has(name.toLowerCase()))
    .filter(([name]) => !nominated.includes(name.toLowerCase()))
    .map(([name, value]) => [name, name === 'Content-Length' ? `${Number(value)}` : value]);
}

function comparePrinted(sent: GeneratedMessage, role: Role): void {
  const bytes = Buffer.from(printMessage(sent), 'latin1');
  const original = llhttp(bytes, role).messages[0]!;
  const printed = framed(drive(whole(bytes), { role }).messages[0]!);
  const [path, ...query] = original.target.split('?');
  const target = role === 'request' ? [normalise(path!), ...query].join('?') : '';
  for (const oracle of [llhttp, httpParserJs]) {
    const { messages, error } = oracle(Buffer.from(printed, 'latin1'), role);
    assert.equal(error, undefined, oracle.name);
    assert.equal(messages.length, 1);
    const { method, status, body, complete } = messages[0]!;
    assert.deepEqual(
      { method, status, body, complete, target: messages[0]!.target },
      {
        method: original.method,
        status: original.status,
        body: original.body,
        complete: true,
        target,
      },
    );
    assert.deepEqual(forwardable(messages[0]!.fields), forwardable(original.fields));
  }
}

function framed({ head, body, trailers }: DrivenMessage): string {
  if (!head.includes('\r\nTransfer-Encoding: chunked\r\n')) return head + body;
  const chunk = body === '' ? '' : `${body.length.toString(16)}\r\n${body}\r\n`;
  return `${head}${chunk}0\r\n${trailers}\r\n`;
}
