/**
 * An OTLP/HTTP collector for tests, of JSON and protobuf: keeps the spans that it accepted, or misbehaves as it is told. It
 * takes metrics and forgets them.
 */

import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import { gunzipSync } from 'node:zlib';
import { readTraces } from '../../src/viewer/otlp-protobuf.ts';

export interface SinkValue {
  readonly stringValue?: string;
  readonly intValue?: number;
  readonly boolValue?: boolean;
  readonly doubleValue?: number;
  readonly arrayValue?: { readonly values: readonly SinkValue[] };
}

export interface SinkAttribute {
  readonly key: string;
  readonly value: SinkValue;
}

export interface SinkSpan {
  readonly traceId: string;
  readonly spanId: string;
  readonly parentSpanId?: string;
  readonly traceState?: string;
  readonly name: string;
  readonly kind: number;
  readonly startTimeUnixNano: string;
  readonly endTimeUnixNano: string;
  readonly attributes: readonly SinkAttribute[];
  readonly status: { readonly code: number; readonly message?: string };
  readonly flags: number;
  readonly links?: readonly { readonly traceId: string; readonly spanId: string }[];
}

export interface SinkRequest {
  readonly method: string;
  readonly url: string;
  readonly headers: IncomingMessage['headers'];
  readonly body: {
    readonly resourceSpans: readonly {
      readonly resource: { readonly attributes: readonly SinkAttribute[] };
      readonly schemaUrl?: string;
      readonly scopeSpans: readonly {
        readonly scope: { readonly name: string; readonly version: string };
        readonly schemaUrl?: string;
        readonly spans: readonly SinkSpan[];
      }[];
    }[];
  };
}

/** Answers one request; returns whether the spans count as accepted. */
export type SinkAnswer = (response: ServerResponse, spans: number, call: number) => boolean;

export const accept: SinkAnswer = (response) => {
  response.setHeader('content-type', 'application/json').end('{}');
  return true;
};

/** Answers with `status` and takes nothing. */
export function refuse(status: number, headers: Record<string, string> = {}): SinkAnswer {
  return (response) => {
    response.writeHead(status, headers).end('no');
    return false;
  };
}

/** Reads and never answers. */
export const stall: SinkAnswer = () => false;

export class OtlpSink {
  answer: SinkAnswer = accept;
  readonly requests: SinkRequest[] = [];
  readonly spans: SinkSpan[] = [];
  #calls = 0;
  #underWay = 0;
  readonly #server: Server;
  readonly #waiting: (() => void)[] = [];

  private constructor(server: Server) {
    this.#server = server;
  }

  /** On a port that was another sink's, or on any. */
  static async start(port = 0): Promise<OtlpSink> {
    const server = createServer();
    const sink = new OtlpSink(server);
    server.on('request', (request, response) => sink.#receive(request, response));
    await new Promise<void>((resolve) => server.listen(port, '127.0.0.1', resolve));
    return sink;
  }

  get url(): string {
    return `http://127.0.0.1:${(this.#server.address() as AddressInfo).port}`;
  }

  /** Resolves when `isDone` holds; looked at after every request. */
  async until(isDone: () => boolean): Promise<void> {
    while (!isDone()) await new Promise<void>((resolve) => this.#waiting.push(resolve));
  }

  async close(): Promise<void> {
    const closed = new Promise((resolve) => this.#server.close(resolve));
    this.#server.closeAllConnections();
    await closed;
  }

  /** Resolves when no request is being read or answered. */
  async idle(): Promise<void> {
    await this.until(() => this.#underWay === 0);
  }

  #receive(request: IncomingMessage, response: ServerResponse): void {
    this.#underWay++;
    response.on('close', () => {
      this.#underWay--;
      this.#wake();
    });
    const parts: Buffer[] = [];
    request.on('data', (part: Buffer) => parts.push(part));
    request.on('error', () => undefined);
    response.on('error', () => undefined);
    request.on('end', () => {
      if (request.url === '/v1/metrics') {
        accept(response, 0, 0);
        return;
      }
      const bytes = Buffer.concat(parts);
      const isGzip = request.headers['content-encoding'] === 'gzip';
      const body = readBody(request, isGzip ? gunzipSync(bytes) : bytes);
      const { method = '', url = '', headers } = request;
      this.requests.push({ method, url, headers, body });
      const spans = body.resourceSpans.flatMap((each) =>
        // In protobuf a status that is Unset is not written.
        each.scopeSpans.flatMap((scope) =>
          scope.spans.map((span) => ({ ...span, status: Object.assign({ code: 0 }, span.status) })),
        ),
      );
      if (this.answer(response, spans.length, ++this.#calls)) this.spans.push(...spans);
      this.#wake();
    });
  }

  #wake(): void {
    for (const wake of this.#waiting.splice(0)) wake();
  }
}

/** Protobuf reads as the shapes that JSON has. */
function readBody(request: IncomingMessage, bytes: Buffer): SinkRequest['body'] {
  if (request.headers['content-type'] === 'application/x-protobuf') {
    return readTraces(bytes, { depthMax: 20, valuesMax: 1e6 }) as SinkRequest['body'];
  }
  return JSON.parse(bytes.toString('utf8'));
}
