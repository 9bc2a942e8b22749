/**
 * The table of B8 and B7 (reference/features.md): conversations in HTTP/1 that are odd and allowed,
 * or common and not allowed, which must be the same bytes with and without sidecars.
 *
 * Most are one request and one answer; a case with steps of its own says more.
 */

export type Step =
  | { readonly send: string }
  | { readonly until: string }
  | { readonly finish: true }
  | { readonly reset: true }
  | { readonly end: true };

export interface ByteCase {
  readonly name: string;
  readonly client: readonly Step[];
  readonly server: readonly Step[];
}

const ok = 'HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok';
const host = 'Host: shop.example\r\n';

/** Waits for the last bytes of a message; before the end of a head there may be a traceparent. */
function whole(message: string): Step {
  const body = message
    .trimStart()
    .split(/(?:\r?\n){2}/)
    .slice(1)
    .join('');
  return { until: body === '' ? message.slice(-4) : message.slice(-6) };
}

function exchange(
  name: string,
  request: string,
  answer = ok,
  ending: readonly Step[] = [],
): ByteCase {
  return {
    name,
    client: [{ send: request }, whole(answer), ...ending],
    server: [whole(request), { send: answer }],
  };
}

/** The server closes after its answer, and the caller sees that. */
function closing(name: string, request: string, answer: string): ByteCase {
  const { client, server } = exchange(name, request, answer, [{ end: true }]);
  return { name, client, server: [...server, { finish: true }] };
}

const get = (target: string, fields = '', version = '1.1') =>
  `GET ${target} HTTP/${version}\r\n${host}${fields}\r\n`;
const post = (fields: string, body: string) =>
  `POST /orders HTTP/1.1\r\n${host}${fields}\r\n${body}`;
const chunks = '5\r\nhello\r\n6\r\n world\r\n0\r\n\r\n';
const everyByte = Array.from({ length: 256 }, (_, byte) => String.fromCharCode(byte)).join('');
const manyFields = (bytes: number) =>
  Array.from({ length: 200 }, (_, n) => `X-Field-${n}: ${'v'.repeat(bytes / 200 - 16)}\r\n`).join(
    '',
  );
/** é as one byte, and as two. */
const accents = 'X-FooBar: \u00e9\r\nX-Utf8: \u00c3\u00a9\r\n';

const targets: readonly (readonly [string, string])[] = [
  ['a target with empty segments', '//orders///7'],
  ['a target with dots', '/a/../b/./c/..'],
  ['a target with an escaped slash', '/@scope%2fname'],
  ['a target with escapes that need not be', '/%41%7Euser/%e4'],
  ['a query with everything in it', '/q?a=b?c=d&&e=[1]&f={x}|^`"\'&g=//../'],
  ['an empty query', '/q?'],
  ['a fragment', '/page#part'],
  ['a target of 20 KiB', `/${'x'.repeat(20 << 10)}`],
  ['a target without a slash', 'cgi-bin/script'],
  ['a query without a path', '?k=v'],
  ['an absolute target', 'http://shop.example:8080/orders?x=1'],
  ['an absolute target without a path', 'http://shop.example'],
  ['a target with bytes beyond ASCII', '/caf\u00c3\u00a9'],
];

const requests: readonly (readonly [string, string])[] = [
  ['a plain GET', get('/')],
  ['a host with its port', 'GET / HTTP/1.1\r\nHost: shop.example:8080\r\n\r\n'],
  ['a host in capitals after other fields', 'GET / HTTP/1.1\r\nA: b\r\nHOST: Shop.Example\r\n\r\n'],
  ['an IPv6 host', 'GET / HTTP/1.1\r\nHost: [fd00::1]:80\r\n\r\n'],
  ['an empty host', 'GET / HTTP/1.1\r\nHost:\r\n\r\n'],
  [
    'names in their case, values with their bytes',
    get('/', `${accents}x-lower: a\r\nX-UPPER: B\r\n`),
  ],
  ['duplicates in their order', get('/', 'A: 1\r\nB: 2\r\nA: 3\r\nCookie: x=1\r\nCookie: y=2\r\n')],
  ['white space around values', get('/', 'A:no\r\nB:   many   \r\nC:\ttab\t\r\nD: \r\nE:\r\n')],
  [
    'what other proxies have said',
    get('/', 'Via: 1.1 a\r\nForwarded: for=1\r\nX-Forwarded-For: 1\r\n'),
  ],
  ['200 fields of 60 KiB', get('/', manyFields(60 << 10))],
  ['a long target', get(`/${'x'.repeat(7_000)}`)],
  ['TE: trailers', get('/', 'TE: trailers\r\nConnection: TE\r\n')],
  [
    'Connection: keep-alive and Keep-Alive',
    get('/', 'Connection: keep-alive\r\nKeep-Alive: 300\r\n'),
  ],
  ['OPTIONS for the whole server', `OPTIONS * HTTP/1.1\r\n${host}\r\n`],
  ['a method of WebDAV', `PROPFIND /x HTTP/1.1\r\n${host}Depth: 1\r\nContent-Length: 0\r\n\r\n`],
  ['a method in small letters', `brew /pot HTTP/1.1\r\n${host}\r\n`],
  ['a method that nobody knows', `BREW /pot HTTP/1.1\r\n${host}\r\n`],
  ['a GET with a body', `GET / HTTP/1.1\r\n${host}Content-Length: 8\r\n\r\nquestion`],
  ['a DELETE with a body', `DELETE /x HTTP/1.1\r\n${host}Content-Length: 8\r\n\r\nquestion`],
  ['an empty POST', post('Content-Length: 0\r\n', '')],
  ['a POST without a length', post('', '')],
  ['a body of every byte', post('Content-Length: 256\r\n', everyByte)],
  ['a chunked body', post('Transfer-Encoding: chunked\r\nX-After: 1\r\n', chunks)],
  [
    'a chunked body with extensions and capitals',
    post('transfer-encoding: Chunked\r\n', '00A;name="value"\r\n0123456789\r\n0\r\n\r\n'),
  ],
  [
    'a chunked body with trailers',
    post('Trailer: X-Sum\r\nTransfer-Encoding: chunked\r\n', '2\r\nok\r\n0\r\nX-Sum: 1\r\n\r\n'),
  ],
  [
    'a body whose caller does not wait for 100',
    post('Expect: 100-continue\r\nContent-Length: 9\r\n', 'impatient'),
  ],
  ['an empty line before the request', `\r\n${get('/')}`],
  ['HTTP/1.0 that is kept', get('/', 'Connection: keep-alive\r\n', '1.0')],
];

const answers: readonly (readonly [string, string])[] = [
  ['an answer without a reason', 'HTTP/1.1 200 \r\nContent-Length: 2\r\n\r\nok'],
  ['a reason beyond ASCII', 'HTTP/1.1 200 D\u00e9j\u00e0 vu\r\nContent-Length: 2\r\n\r\nok'],
  ['a status that nobody knows', 'HTTP/1.1 299 So So\r\nContent-Length: 2\r\n\r\nok'],
  [
    'an answer with its fields as sent',
    `HTTP/1.1 200 OK\r\n${accents}Set-Cookie: a=1\r\nset-cookie: b=2\r\nServer:  x \r\nContent-Length: 2\r\n\r\nok`,
  ],
  ['an empty answer', 'HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n'],
  ['204', 'HTTP/1.1 204 No Content\r\nX: y\r\n\r\n'],
  ['304 with a length', 'HTTP/1.1 304 Not Modified\r\nContent-Length: 1000\r\nETag: "x"\r\n\r\n'],
  [
    'a chunked answer',
    `HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\nX-After: 1\r\n\r\n${chunks}`,
  ],
  [
    'a chunked answer with extensions',
    'HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n02;a=b\r\nok\r\n0\r\n\r\n',
  ],
  [
    'a chunked answer with trailers',
    'HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\nTrailer: X-Sum\r\n\r\n2\r\nok\r\n0\r\nX-Sum: 1\r\n\r\n',
  ],
  ['early hints', `HTTP/1.1 103 Early Hints\r\nLink: </a.css>\r\n\r\n${ok}`],
  ['two interim answers', `HTTP/1.1 102 Processing\r\n\r\nHTTP/1.1 102 Processing\r\n\r\n${ok}`],
  [
    'Connection: keep-alive and Keep-Alive of the server',
    'HTTP/1.1 200 OK\r\nConnection: keep-alive\r\nKeep-Alive: timeout=5\r\nContent-Length: 2\r\n\r\nok',
  ],
  [
    'an Upgrade that is only named',
    'HTTP/1.1 426 Upgrade Required\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nContent-Length: 2\r\n\r\nno',
  ],
  [
    '200 fields of 60 KiB in an answer',
    `HTTP/1.1 200 OK\r\n${manyFields(60 << 10)}Content-Length: 2\r\n\r\nok`,
  ],
  ['an answer whose lines end in LF alone', 'HTTP/1.1 200 OK\nContent-Length: 2\nX: y\n\nok'],
];

const closed: readonly (readonly [string, string, string])[] = [
  [
    'HTTP/1.0 without a host',
    'GET /old HTTP/1.0\r\n\r\n',
    'HTTP/1.0 200 OK\r\nContent-Type: text/plain\r\n\r\nall of it',
  ],
  ['an answer that ends with its connection', get('/'), 'HTTP/1.1 200 OK\r\nX: y\r\n\r\nall of it'],
  ['an answer of HTTP/1.0 to HTTP/1.1', get('/'), 'HTTP/1.0 200 OK\r\nContent-Length: 2\r\n\r\nok'],
  [
    'HTTP/1.0 with a body',
    'POST /x HTTP/1.0\r\nContent-Length: 8\r\n\r\nquestion',
    'HTTP/1.0 201 Created\r\n\r\nmade',
  ],
  ['Connection: close of the caller', get('/', 'Connection: close\r\n'), ok],
  [
    'Connection: close of the server',
    get('/'),
    'HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: 2\r\n\r\nok',
  ],
  ['a server that closes without saying so', get('/'), ok],
  ['a body that is cut by FIN', get('/'), 'HTTP/1.1 200 OK\r\nContent-Length: 99\r\n\r\nonly this'],
  [
    'chunks that are cut by FIN',
    get('/'),
    'HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n63\r\nonly this',
  ],
  [
    'a chunked answer of HTTP/1.0',
    get('/'),
    `HTTP/1.0 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n${chunks}`,
  ],
];

const webSocketFields =
  'Connection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n';
const switched =
  'HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\r\n';

const stepped: readonly ByteCase[] = [
  exchange(
    'HEAD',
    `HEAD / HTTP/1.1\r\n${host}\r\n`,
    'HTTP/1.1 200 OK\r\nContent-Length: 4000\r\n\r\n',
  ),
  {
    name: 'Expect: 100-continue, awaited',
    client: [
      { send: post('Expect: 100-continue\r\nContent-Length: 7\r\n', '') },
      { until: '100 Continue\r\n\r\n' },
      { send: 'patient' },
      { until: 'ok' },
    ],
    server: [
      { until: '\r\n\r\n' },
      { send: 'HTTP/1.1 100 Continue\r\n\r\n' },
      { until: 'patient' },
      { send: ok },
    ],
  },
  {
    name: 'Expect: 100-continue, refused',
    client: [{ send: post('Expect: 100-continue\r\nContent-Length: 7\r\n', '') }, { until: 'no' }],
    server: [
      { until: '\r\n\r\n' },
      {
        send: 'HTTP/1.1 417 Expectation Failed\r\nConnection: close\r\nContent-Length: 2\r\n\r\nno',
      },
    ],
  },
  {
    name: 'two requests one after the other',
    client: [{ send: get('/1') }, { until: 'ok' }, { send: get('/2') }, { until: 'ok' }],
    server: [{ until: '\r\n\r\n' }, { send: ok }, { until: '\r\n\r\n' }, { send: ok }],
  },
  {
    name: 'a WebSocket that is greeted at once',
    client: [
      { send: get('/chat', webSocketFields) },
      { until: '\u0081\u0002hi' },
      { send: everyByte },
      { until: 'bye' },
      { end: true },
    ],
    server: [
      { until: '\r\n\r\n' },
      { send: `${switched}\u0081\u0002hi` },
      { until: everyByte },
      { send: 'bye' },
      { finish: true },
    ],
  },
  {
    name: 'an upgrade to a protocol of its own',
    client: [
      { send: get('/', 'Connection: Upgrade\r\nUpgrade: tcp\r\n') },
      { until: '\r\n\r\n' },
      { send: 'ping' },
      { until: 'pong' },
    ],
    server: [
      { until: '\r\n\r\n' },
      { send: 'HTTP/1.1 101 UPGRADED\r\nConnection: Upgrade\r\nUpgrade: tcp\r\n\r\n' },
      { until: 'ping' },
      { send: 'pong' },
    ],
  },
  {
    name: 'CONNECT as the first thing said',
    client: [
      { send: 'CONNECT far.example:443 HTTP/1.1\r\nHost: far.example:443\r\n\r\n' },
      { until: '\r\n\r\n' },
      { send: 'ping' },
      { until: 'pong' },
    ],
    server: [
      { until: '\r\n\r\n' },
      { send: 'HTTP/1.1 200 Connection established\r\n\r\n' },
      { until: 'ping' },
      { send: 'pong' },
    ],
  },
  {
    name: 'an answer before the body is there',
    client: [
      { send: post('Content-Length: 1000000\r\n', 'the first of it') },
      { until: 'no' },
      { end: true },
    ],
    server: [
      { until: 'the first of it' },
      { send: 'HTTP/1.1 413 Too Large\r\nConnection: close\r\nContent-Length: 2\r\n\r\nno' },
      { finish: true },
    ],
  },
  {
    name: 'an answer that is cut by RST',
    client: [
      { send: post('Content-Length: 6\r\n', 'first') },
      { until: 'part' },
      { send: 'X' },
      { end: true },
    ],
    server: [
      { until: 'first' },
      { send: 'HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: 99\r\n\r\npart' },
      { until: 'X' },
      { reset: true },
    ],
  },
  {
    name: 'a caller that has said all and sends FIN',
    client: [
      { send: get('/', 'Connection: close\r\n') },
      { finish: true },
      { until: 'ok' },
      { end: true },
    ],
    server: [{ until: '\r\n\r\n' }, { send: ok }, { finish: true }],
  },
  {
    name: 'no HTTP: a reset by the server',
    client: [{ send: '\u0000one' }, { until: 'two' }, { send: 'three' }, { end: true }],
    server: [{ until: 'one' }, { send: 'two' }, { until: 'three' }, { reset: true }],
  },
  {
    name: 'no HTTP: a reset by the caller',
    client: [{ send: '\u0000one' }, { until: 'two' }, { reset: true }],
    server: [{ until: 'one' }, { send: 'two' }, { end: true }],
  },
  {
    name: 'no HTTP: the caller says all, then hears all',
    client: [{ send: `\u0000${everyByte}` }, { finish: true }, { until: everyByte }, { end: true }],
    server: [{ until: everyByte }, { end: true }, { send: everyByte }, { finish: true }],
  },
  {
    name: 'no HTTP: the server says all first, then hears all',
    client: [{ until: everyByte }, { end: true }, { send: everyByte }, { finish: true }],
    server: [{ send: everyByte }, { finish: true }, { until: everyByte }, { end: true }],
  },
];

export const byteCases: readonly ByteCase[] = [
  ...targets.map(([name, target]) => exchange(name, get(target))),
  ...requests.map(([name, request]) => exchange(name, request)),
  ...answers.map(([name, answer]) => exchange(name, get('/'), answer)),
  ...closed.map(([name, request, answer]) => closing(name, request, answer)),
  ...stepped,
];
