/**
 * Generators of HTTP/1.1 messages for fast-check: lawful ones, and the same with something broken.
 *
 * A generated message is plain data; `printMessage` writes it as a peer might (any case, any white
 * space, any chunking that is lawful). `brokenStream` mutates the bytes of one to three messages.
 */

import fc from 'fast-check';

export interface GeneratedMessage {
  readonly startLine: string;
  readonly method: string;
  readonly target: string;
  readonly status: number;
  readonly fields: readonly (readonly [name: string, space: string, value: string])[];
  readonly framing: 'none' | 'length' | 'chunked';
  readonly lengthZeros: number;
  readonly chunks: readonly string[];
  readonly extension: string;
  readonly trailers: readonly string[];
}

const methods = ['GET', 'HEAD', 'POST', 'PUT', 'DELETE', 'OPTIONS', 'PATCH'];

const tokenByte = fc.constantFrom(..."!#$%&'*+-.^`|~0123456789abcdefghijklmnopqrstuvwxyzABCDEFXYZ");
const fieldName = fc
  .oneof(
    fc.string({ unit: tokenByte, minLength: 1, maxLength: 20 }),
    fc.constantFrom('Accept', 'user-agent', 'X-Request-Id', 'traceparent', 'Via', 'x-a', 'Cookie'),
  )
  .filter((name) => !/^(host|te|expect|upgrade|trailer|connection)$/i.test(name));

const valueByte = fc.oneof(
  { weight: 8, arbitrary: fc.integer({ min: 0x21, max: 0x7e }) },
  { weight: 1, arbitrary: fc.constantFrom(0x09, 0x20) },
  { weight: 1, arbitrary: fc.integer({ min: 0x80, max: 0xff }) },
);
const fieldValue = fc.array(valueByte, { maxLength: 30 }).map((bytes) =>
  Buffer.from(bytes)
    .toString('latin1')
    .replace(/^[\t ]+|[\t ]+$/g, ''),
);
const space = fc.constantFrom('', ' ', '\t', '  ');
const field = fc.tuple(fieldName, space, fieldValue);

const pathByte = fc.constantFrom(..."/abcXYZ019-._~!$&'()*+,;=:@", '%20', '%C3', '%7E', '%2e');
const queryByte = fc.constantFrom(...'abc019/?=&;:@%+.[]{}|^"\\');
const target = fc
  .tuple(
    fc.string({ unit: pathByte, maxLength: 30 }),
    fc.option(fc.string({ unit: queryByte, maxLength: 20 }), { nil: undefined }),
  )
  .map(([path, query]) => `/${path}${query === undefined ? '' : `?${query}`}`);

const host = fc.constantFrom('a', 'Reviews:9080', '10.0.0.1:80', '[::1]:8080', 'a.b.c.', 'x_y');
const bodyBytes = fc
  .uint8Array({ minLength: 1, maxLength: 40 })
  .map((bytes) => Buffer.from(bytes).toString('latin1'));
const extension = fc.constantFrom('', '', '', ';a', ';a=b', ';a="b; \\" c"', ';a;b=c');
const trailer = fc.constantFrom('X-Sum: 1', 'Content-Length: 3', 'Host: evil', 'x-b:', 'Y: a b');

const body = fc.record({
  framing: fc.constantFrom('none' as const, 'length' as const, 'chunked' as const),
  lengthZeros: fc.constantFrom(0, 0, 0, 1, 20),
  chunks: fc.array(bodyBytes, { maxLength: 4 }),
  extension,
  trailers: fc.array(trailer, { maxLength: 2 }),
});

/** Fields of the peer's own hop; at most one of them, so that two requests can follow each other. */
const hopFields = fc.constantFrom<readonly (readonly [string, string, string])[]>(
  [],
  [],
  [['Connection', ' ', 'keep-alive']],
  [['connection', '', 'Keep-Alive, x-a']],
  [['Connection', ' ', 'close']],
  [['Keep-Alive', ' ', 'timeout=5']],
  [['Trailer', ' ', 'X-Sum, x-b']],
  [['TE', ' ', 'trailers']],
);

/** A lawful request. */
export const request: fc.Arbitrary<GeneratedMessage> = fc
  .record({
    method: fc.constantFrom(...methods),
    target,
    host,
    before: fc.array(field, { maxLength: 3 }),
    hop: hopFields,
    after: fc.array(field, { maxLength: 3 }),
    body,
  })
  .map(({ method, target, host, before, hop, after, body }) => ({
    ...body,
    startLine: `${method} ${target} HTTP/1.1`,
    method,
    target,
    status: 0,
    fields: [...before, ['Host', ' ', host] as const, ...hop, ...after],
  }));

const phrase = fc.constantFrom('OK', '', 'Not Found', 'D\xe9j\xe0 vu');

/** A lawful final response to a GET; framing `none` is close-delimited. */
export const response: fc.Arbitrary<GeneratedMessage> = fc
  .record({
    status: fc.constantFrom(200, 201, 404, 500, 599),
    phrase,
    fields: fc.array(field, { maxLength: 5 }),
    hop: hopFields,
    body,
  })
  .map(({ status, phrase, fields, hop, body }) => ({
    ...body,
    startLine: `HTTP/1.1 ${status} ${phrase}`,
    method: '',
    target: '',
    status,
    fields: [...fields, ...hop],
  }));

/** All data of the body. */
export function bodyOf(message: GeneratedMessage): string {
  return message.framing === 'none' ? '' : message.chunks.join('');
}

/** The bytes of a message, one character each. */
export function printMessage(message: GeneratedMessage): string {
  let head = `${message.startLine}\r\n`;
  for (const [name, white, value] of message.fields) head += `${name}:${white}${value}\r\n`;
  const data = bodyOf(message);
  if (message.framing === 'none') return `${head}\r\n`;
  if (message.framing === 'length') {
    return `${head}Content-Length: ${'0'.repeat(message.lengthZeros)}${data.length}\r\n\r\n${data}`;
  }
  let printed = `${head}Transfer-Encoding: chunked\r\n\r\n`;
  for (const chunk of message.chunks) {
    printed += `${chunk.length.toString(16)}${message.extension}\r\n${chunk}\r\n`;
  }
  return `${printed}0\r\n${message.trailers.map((line) => `${line}\r\n`).join('')}\r\n`;
}

const nastyLines = [
  'Content-Length: 3',
  'Content-Length: +3',
  'content-length:0',
  'Transfer-Encoding: chunked',
  'Transfer-Encoding: identity',
  'Transfer-Encoding:\x0bchunked',
  'transfer-encoding: CHUNKED ',
  'Transfer_Encoding: chunked',
  'Host: b',
  ' folded',
  'Connection: close',
  'Expect: 100-continue',
  'X: \x00',
  'no colon',
];
const nastyBytes = '\r\n\0 \t:,;"_=#%\\/\x0b\x0c\x1f\x7f\x80\xa0\xff0aF+-';

type Mutation = (text: string) => string;

/** Uniform in [0, 1): fast-check's own doubles gather near 0. */
const place = fc.nat({ max: 9999 }).map((tenThousandths) => tenThousandths / 10_000);

const mutation: fc.Arbitrary<Mutation> = fc.oneof(
  fc.tuple(place, fc.constantFrom(...nastyBytes)).map(([where, byte]): Mutation => {
    return (text) => splice(text, where, 0, byte);
  }),
  fc.tuple(place, fc.constantFrom(...nastyBytes)).map(([where, byte]): Mutation => {
    return (text) => splice(text, where, 1, byte);
  }),
  fc.tuple(place, fc.integer({ min: 1, max: 4 })).map(([where, count]): Mutation => {
    return (text) => splice(text, where, count, '');
  }),
  fc.tuple(place, fc.constantFrom(...nastyLines)).map(([where, line]): Mutation => {
    return (text) => insertLine(text, where, line);
  }),
  fc
    .tuple(place, fc.constantFrom('\n', '\r', '\r\r\n', '\r\n\r\n'))
    .map(([where, end]): Mutation => {
      return (text) => replaceLineEnd(text, where, end);
    }),
);

function splice(text: string, where: number, count: number, insert: string): string {
  const at = Math.floor(where * text.length);
  return text.slice(0, at) + insert + text.slice(at + count);
}

function lineEnds(text: string): number[] {
  return [...text.matchAll(/\r\n/g)].map((found) => found.index);
}

function insertLine(text: string, where: number, line: string): string {
  const ends = lineEnds(text);
  const at = ends[Math.floor(where * ends.length)]! + 2;
  return `${text.slice(0, at)}${line}\r\n${text.slice(at)}`;
}

function replaceLineEnd(text: string, where: number, end: string): string {
  const ends = lineEnds(text);
  const at = ends[Math.floor(where * ends.length)]!;
  return text.slice(0, at) + end + text.slice(at + 2);
}

/** One to three messages one behind the other, with no to three mutations. */
export function brokenStream(message: fc.Arbitrary<GeneratedMessage>): fc.Arbitrary<Buffer> {
  return fc
    .tuple(fc.array(message, { minLength: 1, maxLength: 3 }), fc.array(mutation, { maxLength: 3 }))
    .map(([messages, mutations]) => {
      const lawful = messages.map(printMessage).join('');
      const broken = mutations.reduce((text, mutate) => (text === '' ? '' : mutate(text)), lawful);
      return Buffer.from(broken, 'latin1');
    });
}
