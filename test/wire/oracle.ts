/**
 * Other HTTP/1.1 parsers, driven over a byte stream: llhttp (Node's own, strict) and http-parser-js.
 *
 * Not a test. Both have the interface of Node's parser binding, which @types/node does not describe;
 * this file is the only one that knows it. What they say is compared in differential.test.ts.
 */

import { createRequire } from 'node:module';

export interface OracleMessage {
  method: string;
  target: string;
  status: number;
  /** Names and values as sent, in order. */
  fields: [name: string, value: string][];
  body: string;
  trailers: [name: string, value: string][];
  complete: boolean;
}

export interface OracleOutcome {
  readonly messages: readonly OracleMessage[];
  /** The parser's error code, undefined when it took every byte. */
  readonly error: string | undefined;
}

type Callback = (...parts: readonly unknown[]) => number | undefined;
type Parser = Record<number, Callback> & {
  initialize(type: unknown, resource: object): void;
  execute(chunk: Buffer, start?: number, length?: number): number | Error;
  finish(): Error | undefined;
};

interface ParserClass {
  new (type?: unknown): Parser;
  readonly REQUEST: unknown;
  readonly RESPONSE: unknown;
  readonly kOnHeaders: number;
  readonly kOnHeadersComplete: number;
  readonly kOnBody: number;
  readonly kOnMessageComplete: number;
}

const load = createRequire(import.meta.url);
const common: { HTTPParser: ParserClass; methods: readonly string[] } = load('_http_common');
const script: { HTTPParser: ParserClass & { encoding: string; methods: readonly string[] } } =
  load('http-parser-js');
script.HTTPParser.encoding = 'latin1';
// llhttp numbers QUERY 46, behind RTSP's methods, so it is the one that Node's list leaves undefined.

// Reading this getter is how its users ask for the interface of today's Node.
void Reflect.get(script.HTTPParser, 'kOnExecute');

/** llhttp as node:http uses it. */
export function llhttp(bytes: Buffer, role: 'request' | 'response'): OracleOutcome {
  return run(common.HTTPParser, common.methods, bytes, role);
}

/** http-parser-js, the parser in JavaScript that imitates Node's. */
export function httpParserJs(bytes: Buffer, role: 'request' | 'response'): OracleOutcome {
  return run(script.HTTPParser, script.HTTPParser.methods, bytes, role);
}

function pairs(flat: readonly string[]): [string, string][] {
  return flat.flatMap((name, index) =>
    index % 2 === 0 ? [[name, flat[index + 1]!.replace(/[\t ]+$/, '')] as [string, string]] : [],
  );
}

function run(
  Class: ParserClass,
  methods: readonly string[],
  bytes: Buffer,
  role: 'request' | 'response',
): OracleOutcome {
  const type = role === 'request' ? Class.REQUEST : Class.RESPONSE;
  const parser = new Class(type);
  parser.initialize(type, {});
  const messages: OracleMessage[] = [];
  let early: [string, string][] = [];
  let earlyTarget = '';
  let open: OracleMessage | undefined;
  parser[Class.kOnHeaders] = (flat, target) => {
    if (open === undefined) {
      early.push(...pairs(flat as string[]));
      earlyTarget += target as string;
    } else {
      open.trailers.push(...pairs(flat as string[]));
    }
    return undefined;
  };
  parser[Class.kOnHeadersComplete] = (_major, _minor, flat, method, target, status) => {
    open = {
      method: role === 'request' ? (methods[method as number] ?? 'QUERY') : '',
      target: role === 'request' ? earlyTarget + ((target as string | undefined) ?? '') : '',
      status: role === 'request' ? 0 : (status as number),
      fields: [...early, ...pairs((flat as string[] | undefined) ?? [])],
      body: '',
      trailers: [],
      complete: false,
    };
    early = [];
    earlyTarget = '';
    messages.push(open);
    return undefined;
  };
  parser[Class.kOnBody] = (chunk, offset, length) => {
    const start = (offset as number | undefined) ?? 0;
    const data = chunk as Buffer;
    open!.body += data.toString('latin1', start, start + ((length as number) ?? data.length));
    return undefined;
  };
  parser[Class.kOnMessageComplete] = () => {
    open!.complete = true;
    open = undefined;
    return undefined;
  };
  const result = parser.execute(Buffer.from(bytes), 0, bytes.length);
  const end = result instanceof Error ? undefined : parser.finish();
  const failure = result instanceof Error ? result : end;
  return { messages, error: failure === undefined ? undefined : codeOf(failure) };
}

function codeOf(error: Error & { code?: string }): string {
  return error.code ?? error.message;
}
