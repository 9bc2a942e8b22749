/**
 * What it costs to parse one head, and to put it into the memory that is sent.
 *
 * `node bench/micro/head.ts`. The trace lines that the proxy adds are in context.ts. Goal: 1.2 us to parse and 0.8 us to print
 * a request head of 300 bytes on the project's 2-core machine.
 */

import { trafficLimits } from '../../src/model/limits.ts';
import { FieldId } from '../../src/wire/http1/field-id.ts';
import { HeadReader, HeadState } from '../../src/wire/http1/head-reader.ts';
import { MessageHead } from '../../src/wire/http1/message-head.ts';
import {
  putHeadEnd,
  putRequestHead,
  putRequestHeadAsSent,
  putResponseHead,
  putResponseHeadAsSent,
} from '../../src/wire/http1/print.ts';
import { measureAll } from './measure.ts';

const small = 'GET /reviews/7 HTTP/1.1\r\nHost: reviews:9080\r\nConnection: keep-alive\r\n\r\n';
const service = [
  'GET /reviews/7?full=1 HTTP/1.1',
  'Host: reviews.default.svc.cluster.local:9080',
  'Connection: keep-alive',
  'Accept: */*',
  'Accept-Language: *',
  'Sec-Fetch-Mode: cors',
  'User-Agent: node',
  'Accept-Encoding: gzip, deflate',
  'traceparent: 00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01',
  '\r\n',
].join('\r\n');
const browser = [
  'GET /products/list?page=2&sort=price HTTP/1.1',
  'Host: shop.example.com',
  'User-Agent: Mozilla/5.0 (X11; Linux x86_64; rv:140.0) Gecko/20100101 Firefox/140.0',
  'Accept: text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8',
  'Accept-Language: en-US,en;q=0.5',
  'Accept-Encoding: gzip, deflate, br, zstd',
  'Referer: https://shop.example.com/products/list?page=1&sort=price',
  'Connection: keep-alive',
  'Cookie: session=5f2b7c9e8d1a4b6f; theme=dark; _ga=GA1.1.1234567890.1700000000',
  'Upgrade-Insecure-Requests: 1',
  'Sec-Fetch-Dest: document',
  'Sec-Fetch-Mode: navigate',
  'Sec-Fetch-Site: same-origin',
  'Priority: u=0, i',
  '\r\n',
].join('\r\n');
const response = [
  'HTTP/1.1 200 OK',
  'Content-Type: application/json; charset=utf-8',
  'Content-Length: 1234',
  'ETag: W/"4d2-abcdef"',
  'Date: Thu, 01 Jan 2026 00:00:00 GMT',
  'Connection: keep-alive',
  'Keep-Alive: timeout=5',
  '\r\n',
].join('\r\n');

const output = Buffer.alloc(4096);
let checksum = 0;

/** Parses as the proxy does: read, look at host and path, find the trace context. */
function parser(text: string, role: 'request' | 'response'): () => void {
  const head = new MessageHead();
  const reader = new HeadReader(head, role, trafficLimits);
  const bytes = Buffer.from(text, 'latin1');
  return () => {
    if (reader.read(bytes, 0) !== HeadState.Done) throw new Error(reader.refusal.detail);
    checksum += head.count + head.indexOf(FieldId.Traceparent);
  };
}

function viewer(text: string): () => void {
  const head = new MessageHead();
  const reader = new HeadReader(head, 'request', trafficLimits);
  const bytes = Buffer.from(text, 'latin1');
  return () => {
    reader.read(bytes, 0);
    checksum += head.view.hostname.length + head.view.path.length;
  };
}

function printer(text: string, role: 'request' | 'response'): () => void {
  const head = new MessageHead();
  const reader = new HeadReader(head, role, trafficLimits);
  reader.read(Buffer.from(text, 'latin1'), 0);
  const put = (): number => {
    if (role === 'request') return putRequestHead(head, output, 0);
    return putResponseHead(head, head.bodyKind, 1, true, output, 0);
  };
  return () => {
    checksum += putHeadEnd(output, put());
  };
}

function asSentPrinter(text: string, role: 'request' | 'response'): () => void {
  const head = new MessageHead();
  const reader = new HeadReader(head, role, trafficLimits);
  reader.isLenient = true;
  reader.read(Buffer.from(text, 'latin1'), 0);
  return role === 'request'
    ? () => {
        checksum += putHeadEnd(output, putRequestHeadAsSent(head, output, 0));
      }
    : () => {
        checksum += putResponseHeadAsSent(head, false, output, 0);
      };
}

const sized = (name: string, text: string) => `${name}, ${text.length} B`;

measureAll('message heads', [
  [sized('parse small request', small), parser(small, 'request')],
  [sized('parse service request', service), parser(service, 'request')],
  [sized('parse browser request', browser), parser(browser, 'request')],
  [sized('parse response', response), parser(response, 'response')],
  [sized('parse service request + host, path', service), viewer(service)],
  [sized('put small request', small), printer(small, 'request')],
  [sized('put service request', service), printer(service, 'request')],
  [sized('put browser request', browser), printer(browser, 'request')],
  [sized('put response', response), printer(response, 'response')],
  [sized('put service request as sent', service), asSentPrinter(service, 'request')],
  [sized('put response as sent', response), asSentPrinter(response, 'response')],
]);
if (checksum === 0) throw new Error('nothing was measured');
