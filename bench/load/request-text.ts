/**
 * The bytes of the requests of one connection: written once, and stamped with an id for each request.
 *
 * Ids are sixteen hex digits in a field whose place is known, so a stamp writes sixteen bytes and
 * nothing is encoded again. The backend sends the id back, which proves that an answer belongs to the
 * request it is counted for.
 */

import {
  answerOf,
  benchHost,
  benchPath,
  bodyOf,
  type Exchange,
  requestHead,
  type Target,
} from './load-order.ts';

const idField = 'x-request-id: ';
const chunkBytes = 16_384;

interface Text {
  readonly bytes: Buffer;
  readonly idAt: number;
  readonly expectedBody: Buffer;
}

/** Counts up over all connections of the process; an id is never used twice in a run. */
let stamps = 0;

export class RequestText {
  readonly #texts: readonly Text[];
  #next = 0;
  /** Of the request that was stamped last; the body that its answer must carry. */
  id = '';
  expectedBody: Buffer;

  /** For connection `place` of `connections`, which divide many targets among themselves. */
  constructor(exchange: Exchange, place: number, connections: number) {
    const all = exchange.targets ?? [{ host: benchHost, path: exchange.path ?? benchPath }];
    const own = all.filter((_, index) => index % connections === place);
    this.#texts = textsOf(exchange, own.length > 0 ? own : [all[place % all.length]!]);
    this.expectedBody = this.#texts[0]!.expectedBody;
  }

  /** Bytes of its longest request. */
  get longest(): number {
    return Math.max(...this.#texts.map(({ bytes }) => bytes.length));
  }

  /** The bytes of one more request; valid until the next one. */
  stamp(): Buffer {
    const text = this.#texts[this.#next]!;
    this.#next = this.#next + 1 === this.#texts.length ? 0 : this.#next + 1;
    stamps++;
    this.id = stamps.toString(16).padStart(16, '0');
    text.bytes.latin1Write(this.id, text.idAt, 16);
    this.expectedBody = text.expectedBody;
    return text.bytes;
  }
}

/** Bodies that are expected, by path: one buffer for all connections. */
const expectations = new Map<string, Buffer>();

function textsOf(exchange: Exchange, targets: readonly Target[]): readonly Text[] {
  const { bodyBytes = 0, chunked = false } = exchange;
  const framing = chunked ? 'transfer-encoding: chunked\r\n' : `content-length: ${bodyBytes}\r\n`;
  const fields = `${idField}${'0'.repeat(16)}\r\n${bodyBytes > 0 ? framing : ''}`;
  const body = bodyBytes === 0 ? '' : chunked ? chunksOf(bodyOf(bodyBytes)) : bodyOf(bodyBytes);
  return targets.map((target) => {
    const head = requestHead(bodyBytes > 0 ? 'POST' : 'GET', target, fields);
    return {
      bytes: Buffer.from(head + body, 'latin1'),
      idAt: head.indexOf(idField) + idField.length,
      expectedBody: expectedOn(target.path),
    };
  });
}

function expectedOn(path: string): Buffer {
  const known = expectations.get(path);
  if (known !== undefined) return known;
  const expected = Buffer.from(answerOf(path), 'latin1');
  expectations.set(path, expected);
  return expected;
}

function chunksOf(body: string): string {
  let text = '';
  for (let at = 0; at < body.length; at += chunkBytes) {
    const chunk = body.slice(at, at + chunkBytes);
    text += `${chunk.length.toString(16)}\r\n${chunk}\r\n`;
  }
  return `${text}0\r\n\r\n`;
}
