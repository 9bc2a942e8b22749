/**
 * The parameters of the query API: camelCase names as in today's Jaeger, snake_case as before 2.14.
 *
 * When both are given camelCase counts, an empty value is an absent one, and a complaint names the
 * parameter that was used. Times are RFC 3339, durations are Go's (`1.5ms`, `1h30m`).
 */

export interface FoundParameter {
  readonly name: string;
  readonly value: string;
}

/** The first of `names` that has a value. */
export function findParameter(
  parameters: URLSearchParams,
  ...names: readonly string[]
): FoundParameter | undefined {
  for (const name of names) {
    const value = parameters.get(name);
    if (value !== null && value !== '') return { name, value };
  }
  return undefined;
}

const rfc3339 =
  /^(\d{4})-(\d\d)-(\d\d)T(\d\d):(\d\d):(\d\d)(?:\.(\d{1,9})\d*)?(?:Z|([+-])(\d\d):(\d\d))$/;

/** Microseconds since the epoch, rounded as spans' start times are; undefined when malformed. */
export function parseTime(text: string): number | undefined {
  const match = rfc3339.exec(text);
  if (match === null) return undefined;
  const [year, month, day, hour, minute, second] = match.slice(1, 7).map(Number) as [
    number,
    number,
    number,
    number,
    number,
    number,
  ];
  const offsetMinutes = Number(match[9] ?? 0) * 60 + Number(match[10] ?? 0);
  if (hour > 23 || minute > 59 || second > 59 || offsetMinutes >= 24 * 60) return undefined;
  const ms = Date.UTC(year, month - 1, day, hour, minute, second);
  // 30 February rolls over into March: such a day does not come back as it was.
  if (new Date(ms).getUTCDate() !== day || month < 1 || month > 12) return undefined;
  const utcMs = ms - (match[8] === '-' ? -1 : 1) * offsetMinutes * 60_000;
  const ns = BigInt(utcMs) * 1_000_000n + BigInt((match[7] ?? '').padEnd(9, '0'));
  return Number(ns) / 1000;
}

const nanosecondsPer: Readonly<Record<string, number>> = {
  ns: 1,
  us: 1e3,
  µs: 1e3,
  μs: 1e3,
  ms: 1e6,
  s: 1e9,
  m: 60e9,
  h: 3600e9,
};

const durationPart = /(\d+\.?\d*|\.\d+)(ns|us|µs|μs|ms|s|m|h)/y;

/** Nanoseconds; undefined when it is not a duration of Go's, or a negative one. */
export function parseDuration(text: string): number | undefined {
  if (text === '0') return 0;
  let at = text.startsWith('+') ? 1 : 0;
  if (at === text.length) return undefined;
  let sum = 0;
  while (at < text.length) {
    durationPart.lastIndex = at;
    const match = durationPart.exec(text);
    if (match === null) return undefined;
    sum += Number(match[1]) * nanosecondsPer[match[2]!]!;
    at = durationPart.lastIndex;
  }
  return sum;
}

/** A trace id of 1 to 32 hex digits, filled up to 32; undefined when it is none. */
export function parseTraceId(text: string): string | undefined {
  return /^[0-9a-fA-F]{1,32}$/.test(text) ? text.toLowerCase().padStart(32, '0') : undefined;
}

/** `{"key":"value"}` with nothing but texts; undefined when it is something else. */
export function parseAttributes(text: string): ReadonlyMap<string, string> | undefined {
  let parsed: unknown;
  try {
    parsed = JSON.parse(text);
  } catch {
    return undefined;
  }
  if (typeof parsed !== 'object' || parsed === null || Array.isArray(parsed)) return undefined;
  const entries = Object.entries(parsed);
  if (entries.some(([, value]) => typeof value !== 'string')) return undefined;
  return new Map(entries as [string, string][]);
}
