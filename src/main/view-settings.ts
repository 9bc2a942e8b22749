/**
 * What `tracecar view` is told by flags and `TRACECAR_*` variables.
 *
 * Plain data in, plain data out: nothing is opened here. The same program is two things: with
 * `--trace` it asks a viewer that runs already, without it it is that viewer.
 */

import { viewerLimits } from '../model/viewer-limits.ts';
import { type Environment, type Flag, type FlagValues, readFlags, UsageError } from './flags.ts';
import { readSocketAddress, type SocketAddress } from './socket-address.ts';

const usualOtlp: SocketAddress = { address: '127.0.0.1', port: 4318 };
const usualGrpc: SocketAddress = { address: '127.0.0.1', port: 4317 };
const usualQuery: SocketAddress = { address: '127.0.0.1', port: 16_686 };
/** Of a file: about half a million spans of sidecars. */
const usualFileBytes = 1024 * 1024 * 1024;
const storeBytesMin = 1024 * 1024;
const storeBytesMax = 4 * 1024 * 1024 * 1024;

export const viewFlags: readonly Flag[] = [
  {
    name: 'otlp',
    value: 'ADDR:PORT',
    otherwise: '127.0.0.1:4318',
    help: 'where spans come in: OTLP over HTTP, JSON or protobuf',
  },
  {
    name: 'grpc',
    value: 'ADDR:PORT',
    otherwise: '127.0.0.1:4317; beside --otlp: none',
    help: 'the same: OTLP over gRPC; none: nowhere',
  },
  {
    name: 'query',
    value: 'ADDR:PORT',
    otherwise: '127.0.0.1:16686',
    help: "page and Jaeger's query API v3; with --trace where to ask, also a URL",
  },
  {
    name: 'store-bytes',
    value: 'BYTES',
    otherwise: `${viewerLimits.storeBytesMax / 1024 / 1024}m, with --store 1g`,
    help: 'memory for traces, or file and memory; the oldest go first',
  },
  {
    name: 'store',
    value: 'FILE',
    otherwise: 'in memory',
    help: 'keep traces in this SQLite file, over restarts',
    isPath: true,
  },
  {
    name: 'import',
    value: 'FILE',
    otherwise: '',
    help: 'begin with the traces of this file: OTLP JSON, one document or one a line',
    isPath: true,
    typedOnly: true,
  },
  {
    name: 'export',
    value: 'FILE',
    otherwise: '',
    help: 'with --trace: write it to this file as a line of OTLP JSON; - is stdout',
    isPath: true,
    typedOnly: true,
  },
  {
    name: 'trace',
    value: 'ID',
    otherwise: '',
    help: 'print this trace as a waterfall and end; Jaeger may be asked too',
    typedOnly: true,
  },
  {
    name: 'json',
    value: '',
    otherwise: '',
    help: 'with --trace: OTLP JSON instead of a picture',
    typedOnly: true,
  },
  {
    name: 'width',
    value: 'COLUMNS',
    otherwise: 'the terminal',
    help: 'with --trace: columns of the picture, 60 to 500',
    typedOnly: true,
  },
  {
    name: 'no-color',
    value: '',
    otherwise: '',
    help: 'with --trace: no colors (so does NO_COLOR)',
    typedOnly: true,
  },
];

export interface ServeSettings {
  readonly kind: 'serve';
  readonly otlp: SocketAddress;
  /** Undefined: not taken. */
  readonly grpc: SocketAddress | undefined;
  readonly query: SocketAddress;
  readonly storeBytes: number;
  /** Undefined: in memory. */
  readonly storeFile: string | undefined;
  readonly importFile: string | undefined;
}

export interface ShowSettings {
  readonly kind: 'show';
  /** 32 lower-case hex digits. */
  readonly traceId: string;
  /** Without a slash at its end: `http://127.0.0.1:16686`. */
  readonly queryUrl: string;
  readonly isJson: boolean;
  /** Where to write the trace instead; `-` is stdout. */
  readonly exportFile: string | undefined;
  /** Undefined: as wide as the terminal. */
  readonly width: number | undefined;
  readonly isColorless: boolean;
}

/** Reads flags and environment. Throws UsageError with one line about the first mistake. */
export function readViewSettings(
  args: readonly string[],
  environment: Environment,
): ServeSettings | ShowSettings {
  const given = readFlags(viewFlags, args, environment);
  const trace = given.values.get('trace')?.[0];
  if (trace === undefined) return serveSettings(given);
  // In the environment they may be there for the server that runs beside this.
  const typed = readFlags(viewFlags, args, {}).values;
  for (const name of ['store', 'import']) {
    if (typed.has(name)) throw new UsageError(`--${name} does not go with --trace ID`);
  }
  return showSettings(trace, given);
}

function serveSettings({ values }: FlagValues): ServeSettings {
  for (const name of ['json', 'width', 'no-color', 'export']) {
    if (values.has(name)) throw new UsageError(`--${name} goes with --trace ID`);
  }
  const otlp = values.get('otlp')?.[0];
  const query = values.get('query')?.[0];
  const storeBytes = values.get('store-bytes')?.[0];
  const storeFile = values.get('store')?.[0] || undefined;
  const usualBytes = storeFile === undefined ? viewerLimits.storeBytesMax : usualFileBytes;
  return {
    kind: 'serve',
    otlp: otlp === undefined ? usualOtlp : readSocketAddress('otlp', otlp, usualOtlp),
    grpc: readGrpc(values.get('grpc')?.[0], otlp === undefined ? usualGrpc : undefined),
    query: query === undefined ? usualQuery : readSocketAddress('query', query, usualQuery),
    storeBytes: storeBytes === undefined ? usualBytes : readBytes(storeBytes),
    storeFile,
    importFile: values.get('import')?.[0] || undefined,
  };
}

/**
 * Who chooses a place for OTLP over HTTP runs more than one viewer or collector: the usual port of the
 * other transport would collide then, so it is only taken when it is named.
 */
function readGrpc(
  text: string | undefined,
  otherwise: SocketAddress | undefined,
): SocketAddress | undefined {
  if (text === undefined) return otherwise;
  return text === 'none' ? undefined : readSocketAddress('grpc', text, usualGrpc);
}

/** What `view --trace` and `explain` have in common. Throws UsageError. */
export function showSettings(trace: string, { values }: FlagValues): ShowSettings {
  if (!/^[0-9a-fA-F]{1,32}$/.test(trace)) {
    throw new UsageError(`--trace is a trace id of 32 hex digits, not '${trace}'`);
  }
  return {
    kind: 'show',
    traceId: trace.toLowerCase().padStart(32, '0'),
    queryUrl: readUrl(values.get('query')?.[0] ?? ''),
    isJson: values.has('json'),
    exportFile: values.get('export')?.[0] || undefined,
    width: readWidth(values.get('width')?.[0]),
    isColorless: values.has('no-color'),
  };
}

/** `http://HOST:PORT/BASE`, or ADDR:PORT as the server takes it. */
function readUrl(text: string): string {
  if (/^https?:\/\//.test(text)) {
    if (!URL.canParse(text)) throw new UsageError(`--query is not a URL: '${text}'`);
    const { origin, pathname, username, password } = new URL(text);
    if (username !== '' || password !== '') {
      throw new UsageError('--query takes no user and no password: a viewer asks for none');
    }
    return `${origin}${pathname}`.replace(/\/+$/, '');
  }
  const at = text === '' ? usualQuery : readSocketAddress('query', text, usualQuery);
  // An address to listen on everywhere is asked on this machine.
  const address = at.address === '0.0.0.0' || at.address === '::' ? '127.0.0.1' : at.address;
  return `http://${address.includes(':') ? `[${address}]` : address}:${at.port}`;
}

function readWidth(text: string | undefined): number | undefined {
  if (text === undefined) return undefined;
  const width = /^\d{1,4}$/.test(text) ? Number(text) : 0;
  if (width >= 60 && width <= 500) return width;
  throw new UsageError(`--width is 60 to 500 columns, not '${text}'`);
}

const unitBytes: ReadonlyMap<string, number> = new Map([
  ['', 1],
  ['k', 1024],
  ['m', 1024 * 1024],
  ['g', 1024 * 1024 * 1024],
]);

function readBytes(text: string): number {
  const match = /^(\d{1,11})([kmg]?)$/i.exec(text);
  const bytes = Number(match?.[1]) * unitBytes.get(match?.[2]?.toLowerCase() ?? '')!;
  if (bytes >= storeBytesMin && bytes <= storeBytesMax) return bytes;
  throw new UsageError(`--store-bytes is a size from 1m to 4g, not '${text}'`);
}
