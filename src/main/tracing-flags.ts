/**
 * Flags of tracing: what OpenTelemetry has no variable for (docs/tracing-settings.md).
 *
 * Each value is checked here, and a wrong one is one line that says which are right. How many traces
 * begin here, where spans go and in what form is said by OTEL_* variables.
 */

import { isIP } from 'node:net';
import { parseRange } from '../base/ip-address.ts';
import { telemetryLimits } from '../model/telemetry-limits.ts';
import {
  type EdgeResponseHeader,
  type SpansMode,
  type TracingChoices,
  usualChoices,
} from '../telemetry/settings/tracing-choices.ts';
import { type Flag, type FlagValues, UsageError } from './flags.ts';

const edges = ['honour', 'ignore', 'link'] as const;
const edgeHeaders: readonly EdgeResponseHeader[] = ['off', 'trace', 'traceparent'];
const spanModes: readonly SpansMode[] = ['both', 'server', 'client'];

export const tracingFlags: readonly Flag[] = [
  {
    name: 'spans',
    value: 'both|server|client',
    choices: spanModes,
    otherwise: 'both',
    help: 'kinds of spans that are exported; all are counted and logged',
  },
  {
    name: 'keep-errors',
    value: 'COUNT',
    otherwise: String(usualChoices.keep.errorsPerSecond),
    help: 'traces kept because of an error, a second and route, at any sampler; 0: none',
  },
  {
    name: 'keep-slow',
    value: 'COUNT',
    otherwise: String(usualChoices.keep.slowPerSecond),
    help: 'likewise because of a slow request',
  },
  {
    name: 'slow-ms',
    value: 'MILLISECONDS',
    otherwise: '',
    help: "slow from here on; without it, and beside it, from 3 times the route's own p99",
  },
  {
    name: 'keep',
    value: 'KIND',
    choices: ['4xx'],
    otherwise: '',
    help: 'kept as an error beside 5xx and failures',
  },
  {
    name: 'history',
    value: 'BYTES',
    otherwise: '8m',
    help: 'memory for 30 s of records that make kept traces whole; 256k to 64m, or 0',
  },
  {
    name: 'peer',
    value: 'CIDR',
    repeatable: true,
    separator: ',',
    otherwise: 'private ranges',
    help: 'where sidecars may be that ask to keep a trace, or none; may be repeated',
  },
  {
    name: 'edge',
    value: 'POLICY',
    choices: edges,
    otherwise: '',
    help: 'for requests from outside: traces go on, are dropped, or linked to',
  },
  {
    name: 'edge-response-header',
    value: 'WORD',
    choices: edgeHeaders,
    otherwise: 'off',
    help: "with --edge: server-timing says the trace's id",
  },
  {
    name: 'debug-token',
    value: 'TOKEN',
    otherwise: '',
    help: 'traces requests with x-tracecar-debug: TOKEN; a secret, better as a variable',
  },
  {
    name: 'correlation-headers',
    value: 'NAMES',
    otherwise: '',
    help: 'fields that join requests as x-request-id does: x-order-id,x-job',
  },
  {
    name: 'untraced-path',
    value: 'PREFIX',
    repeatable: true,
    separator: ',',
    otherwise: '',
    help: 'no spans for paths that begin so, as /healthz; may be repeated',
  },
  {
    name: 'zone',
    value: 'NAME',
    otherwise: 'label topology.kubernetes.io/zone',
    help: 'where this workload runs, for bytes by zone',
  },
];

/** Throws UsageError with one line about the first mistake. */
export function readTracingFlags(
  values: FlagValues['values'],
  labels: Readonly<Record<string, string>>,
): TracingChoices {
  const text = (name: string) => values.get(name)?.[0];
  const list = (name: string) =>
    (values.get(name) ?? []).flatMap((value) => value.split(',')).map((each) => each.trim());
  const edge = text('edge') as TracingChoices['edge'];
  const edgeResponseHeader = (text('edge-response-header') ?? 'off') as EdgeResponseHeader;
  if (edge === undefined && edgeResponseHeader !== 'off') {
    throw new UsageError(
      `--edge-response-header ${edgeResponseHeader} is for callers outside the mesh; say what their traces mean too: --edge link`,
    );
  }
  return {
    keep: {
      errorsPerSecond: readCount('keep-errors', text('keep-errors')),
      slowPerSecond: readCount('keep-slow', text('keep-slow')),
      slowUs: readSlow(text('slow-ms')),
      keeps4xx: values.has('keep'),
      historyBytes: readHistory(text('history')),
    },
    spans: (text('spans') ?? 'both') as SpansMode,
    edge,
    edgeResponseHeader,
    peers: values.has('peer') ? readPeers(list('peer')) : usualChoices.peers,
    correlationHeaders: readFields(list('correlation-headers')),
    untracedPaths: readPaths(list('untraced-path')),
    debugToken: readToken(text('debug-token')),
    zone: readZone(text('zone'), labels['topology.kubernetes.io/zone'] ?? ''),
  };
}

function readCount(flag: 'keep-errors' | 'keep-slow', text: string | undefined): number {
  const { errorsPerSecond, slowPerSecond } = usualChoices.keep;
  if (text === undefined) return flag === 'keep-errors' ? errorsPerSecond : slowPerSecond;
  if (/^\d{1,5}$/.test(text) && Number(text) <= 10_000) return Number(text);
  throw new UsageError(`--${flag} is a number of traces a second, 0 to 10000, not '${text}'`);
}

function readSlow(text: string | undefined): number {
  if (text === undefined) return Number.POSITIVE_INFINITY;
  const milliseconds = /^\d+(\.\d+)?$/.test(text) ? Number(text) : 0;
  if (milliseconds > 0 && milliseconds <= 3_600_000) return milliseconds * 1000;
  const fix = milliseconds === 0 && Number(text) === 0 ? '; --keep-slow 0 keeps none' : '';
  throw new UsageError(`--slow-ms is a time in milliseconds such as 250, not '${text}'${fix}`);
}

const historyBytesMin = 256 * 1024;
const historyBytesMax = 64 * 1024 * 1024;

function readHistory(text: string | undefined): number {
  if (text === undefined) return usualChoices.keep.historyBytes;
  const match = /^(\d{1,9})([km]?)$/i.exec(text);
  const unit = match?.[2]?.toLowerCase();
  const bytes = Number(match?.[1]) * (unit === 'm' ? 1024 * 1024 : unit === 'k' ? 1024 : 1);
  if (bytes === 0 || (bytes >= historyBytesMin && bytes <= historyBytesMax)) return bytes;
  const fix = bytes > 0 && bytes < 1024 && unit === '' ? `; did you mean ${bytes}m?` : '';
  throw new UsageError(`--history is 0 or a size from 256k to 64m, not '${text}'${fix}`);
}

function readPeers(list: readonly string[]): readonly string[] {
  if (list.length === 1 && list[0] === 'none') return [];
  for (const each of list) {
    if (each === 'none') throw new UsageError('--peer none stands alone: it means nobody');
    const range = parseRange(each);
    if (range === undefined) {
      const likely = /^[a-z]/i.test(each) ? ' (names are not looked up)' : '';
      throw new UsageError(
        `--peer is a range of addresses such as 10.0.0.0/8, or none, not '${each}'${likely}`,
      );
    }
    if (range.prefix === 0) {
      throw new UsageError(
        `--peer ${each} is every address: anybody could fill your collector; name the ranges of pods`,
      );
    }
  }
  if (list.length > telemetryLimits.peerRangesMax) {
    throw new UsageError(`--peer takes at most ${telemetryLimits.peerRangesMax} ranges`);
  }
  return list.map((each) => (isIP(each) === 0 ? each : `${each}/${isIP(each) === 4 ? 32 : 128}`));
}

/** Fields that are the same for many requests, or that a correlation must not spread. */
const unfitFields = [
  'host',
  'cookie',
  'authorization',
  'user-agent',
  'content-length',
  'traceparent',
];

function readFields(list: readonly string[]): readonly string[] {
  const fields = [...new Set(list.map((each) => each.toLowerCase()))].filter((each) => each !== '');
  for (const field of fields) {
    if (!/^[!#$%&'*+.^_`|~0-9a-z-]{1,64}$/.test(field)) {
      throw new UsageError(
        `--correlation-headers is a list of header fields such as x-order-id, not '${field}'`,
      );
    }
    if (unfitFields.includes(field)) {
      throw new UsageError(
        `--correlation-headers ${field} tells no two requests apart, or is a secret; name a field that is different for each request`,
      );
    }
  }
  const { correlationHeadersMax: most } = telemetryLimits;
  if (fields.length <= most) return fields;
  throw new UsageError(
    `--correlation-headers takes at most ${most} names: each costs every request`,
  );
}

function readPaths(list: readonly string[]): readonly string[] {
  const paths = [...new Set(list)].filter((each) => each !== '');
  for (const path of paths) {
    if (path === '/') {
      throw new UsageError(
        '--untraced-path / is every path; OTEL_TRACES_EXPORTER=none switches spans off',
      );
    }
    if (!/^\/[\x21-\x7e]*$/.test(path) || /[?#*]/.test(path)) {
      throw new UsageError(
        `--untraced-path is the beginning of a path such as /healthz, without * and ?, not '${path}'`,
      );
    }
  }
  const { untracedPathsMax: most } = telemetryLimits;
  if (paths.length <= most) return paths;
  throw new UsageError(`--untraced-path takes at most ${most} prefixes: each costs every request`);
}

/** Never quoted in a problem. */
function readToken(text: string | undefined): string {
  if (text === undefined || /^[\x21-\x7e]{16,128}$/.test(text)) return text ?? '';
  throw new UsageError(
    '--debug-token is 16 to 128 visible characters, so that nobody guesses it: openssl rand -hex 16',
  );
}

function readZone(text: string | undefined, label: string): string {
  const zone = text ?? label;
  if (zone === '' || /^[A-Za-z0-9]([\w.-]{0,61}[A-Za-z0-9])?$/.test(zone)) return zone;
  throw new UsageError(`--zone is a name such as eu-west-1a, not '${zone}'`);
}
