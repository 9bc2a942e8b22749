/**
 * Which traces a search finds: those with one span that meets every condition at once, newest
 * arrival first, as Jaeger's memory store does it.
 *
 * The rows of the index decide nearly everything: numbers, names and tokens of attributes are compared
 * as integers. Tokens may collide, so a span that they found is read and its attributes are compared
 * as texts; of at most `searchReadBytesMax` in all, then the search ends with what it has.
 */

import type { ViewerLimits } from '../model/viewer-limits.ts';
import { tokenOf } from './attribute-tokens.ts';
import {
  attributeText,
  type KeyValue,
  type OtlpSpan,
  spanKindNames,
  statusError,
} from './otlp-json.ts';
import { RowCursor } from './span-row.ts';
import type { TraceEntry } from './trace-index.ts';
import type { TraceStore } from './trace-store.ts';

export interface TraceQuery {
  /** Empty: any. */
  readonly service: string;
  readonly operation: string;
  /** Start of the span, in microseconds since the epoch, both ends included. */
  readonly startMinUs: number;
  readonly startMaxUs: number;
  readonly durationMinNs: number;
  readonly durationMaxNs: number;
  readonly attributes: ReadonlyMap<string, string>;
  /** At least 1. */
  readonly tracesMax: number;
  /** Only traces with an error, wherever in them it is. */
  readonly hasError?: boolean;
  /** Only traces that came before the one of this order. */
  readonly before?: number | undefined;
}

/** The traces found, at most `tracesMax`. */
export function findTraces(
  store: TraceStore,
  query: TraceQuery,
  limits: ViewerLimits,
): TraceEntry[] {
  const found: TraceEntry[] = [];
  const search = new Search(store, query, limits.searchReadBytesMax);
  if (search.findsNothing) return found;
  for (const trace of store.newestFirst(query.before)) {
    if (query.hasError === true && trace.errors === 0) continue;
    if (!search.finds(trace)) {
      if (search.isExhausted) break;
      continue;
    }
    found.push(trace);
    if (found.length >= query.tracesMax) break;
  }
  return found;
}

/** An attribute that is looked for. */
interface Wanted {
  readonly key: string;
  readonly value: string;
  readonly token: number;
}

class Search {
  /** Whether it names a service or an operation that nobody has sent. */
  readonly findsNothing: boolean;
  readonly #store: TraceStore;
  readonly #query: TraceQuery;
  readonly #cursor: RowCursor;
  readonly #nameId: number;
  readonly #wanted: readonly Wanted[];
  /** Whether times or durations are bounded at all. */
  readonly #isTimed: boolean;
  /** Statuses, as bits, and kind that special words ask for; kind -1: any, -2: none that there is. */
  readonly #statuses: number;
  readonly #kind: number;
  /** By number of origin: 0 not looked at yet, 1 its spans may match, 2 they cannot. */
  readonly #origins: Uint8Array;
  /** By number of origin, when it was asked for: see `wantedOf`. */
  readonly #wantedByOrigin: (number | undefined)[] = [];
  #bytesLeft: number;

  constructor(store: TraceStore, query: TraceQuery, bytesMax: number) {
    this.#store = store;
    this.#query = query;
    this.#bytesLeft = bytesMax;
    this.#cursor = new RowCursor(store.index.arena);
    const nameId = query.operation === '' ? -1 : store.names.find(query.operation);
    this.#nameId = nameId ?? -1;
    this.#origins = new Uint8Array(store.origins.all().length);
    const { attributes } = query;
    this.#statuses = wantedStatuses(attributes.get('span.status'), attributes.get('error'));
    this.#kind = wantedKind(attributes.get('span.kind'));
    this.#wanted = [...attributes]
      .filter(([key]) => !specialKeys.has(key))
      .map(([key, value]) => ({ key, value, token: tokenOf(key, value) }));
    this.#isTimed =
      query.startMinUs > 0 ||
      query.durationMinNs > 0 ||
      Number.isFinite(query.startMaxUs) ||
      Number.isFinite(query.durationMaxNs);
    this.findsNothing = nameId === undefined || this.#statuses === 0 || this.#kind === -2;
  }

  /** Whether it has read as much JSON as it may. */
  get isExhausted(): boolean {
    return this.#bytesLeft <= 0;
  }

  finds(trace: TraceEntry): boolean {
    const cursor = this.#cursor;
    for (let more = cursor.first(trace); more; more = cursor.next()) {
      if (this.#matches(cursor)) return true;
      if (this.#bytesLeft <= 0) return false;
    }
    return false;
  }

  #matches(row: RowCursor): boolean {
    if (this.#nameId !== -1 && row.nameId !== this.#nameId) return false;
    if ((this.#statuses & (1 << row.status)) === 0) return false;
    if (this.#kind !== -1 && row.kind !== this.#kind) return false;
    if (this.#isTimed && !this.#isInTime(row)) return false;
    const { originId } = row;
    this.#origins[originId] ||= this.#originMayMatch(originId) ? 1 : 2;
    if (this.#origins[originId] === 2) return false;
    if (this.#wanted.length === 0) return true;
    const ofOrigin = this.#wantedOf(originId);
    const count = Math.min(this.#wanted.length, wantedMax);
    for (let index = 0; index < count; index++) {
      const isHere = row.hasToken(this.#wanted[index]!.token);
      if (!isHere && (ofOrigin & (1 << index)) === 0) return false;
    }
    return this.#attributesMatch(row);
  }

  #isInTime(row: RowCursor): boolean {
    const query = this.#query;
    const { startUs } = row;
    if (startUs < query.startMinUs || startUs > query.startMaxUs) return false;
    const { durationNs } = row;
    return durationNs >= query.durationMinNs && durationNs <= query.durationMaxNs;
  }

  /** Looks at what only the origin decides. */
  #originMayMatch(originId: number): boolean {
    const origin = this.#store.origins.byId(originId);
    const { service, attributes } = this.#query;
    if (service !== '' && service !== origin.service) return false;
    const name = attributes.get('scope.name')?.toLowerCase();
    const version = attributes.get('scope.version')?.toLowerCase();
    if (name === undefined && version === undefined) return true;
    const { scope } = origin.parts();
    if (name !== undefined && name !== (scope.name ?? '').toLowerCase()) return false;
    return version === undefined || version === (scope.version ?? '').toLowerCase();
  }

  /** Bit n: the origin has what is wanted n-th; looked up once for each origin. */
  #wantedOf(originId: number): number {
    let bits = this.#wantedByOrigin[originId];
    if (bits === undefined) {
      bits = 0;
      const tokens = this.#store.origins.byId(originId).tokens();
      this.#wanted.slice(0, wantedMax).forEach(({ key, value, token }, index) => {
        const isOther =
          key.startsWith(resourcePrefix) &&
          tokens.includes(tokenOf(key.slice(resourcePrefix.length), value));
        if (isOther || tokens.includes(token)) bits! |= 1 << index;
      });
      this.#wantedByOrigin[originId] = bits;
    }
    return bits;
  }

  #attributesMatch(row: RowCursor): boolean {
    this.#bytesLeft -= row.bodyBytes + readOverheadBytes;
    const json = Buffer.from(this.#store.spanJson(row)).toString();
    const { attributes, events, links } = JSON.parse(json) as OtlpSpan;
    const { resource, scope } = this.#store.origins.byId(row.originId).parts();
    return this.#wanted.every(({ key, value }) => {
      const isResource = key.startsWith(resourcePrefix);
      if (isResource && has(resource, key.slice(resourcePrefix.length), value)) return true;
      return (
        has(attributes, key, value) ||
        has(scope.attributes, key, value) ||
        has(resource, key, value) ||
        events?.some((event) => has(event.attributes, key, value)) === true ||
        links?.some((link) => has(link.attributes, key, value)) === true
      );
    });
  }
}

/** What reading a span costs beside its bytes, as bytes. */
const readOverheadBytes = 500;
/** Each has a bit; of more than that the rest is only compared as texts. */
const wantedMax = 31;
const resourcePrefix = 'resource.';

function has(attributes: readonly KeyValue[] | undefined, key: string, value: string): boolean {
  return attributeText(attributes, key) === value;
}

/** Words that Jaeger reads as properties of the span, not as attributes. */
const specialKeys = new Set(['error', 'span.status', 'span.kind', 'scope.name', 'scope.version']);
const statusNames: readonly string[] = ['unset', 'ok', 'error'];

/** Bit n: status n is wanted. */
function wantedStatuses(status: string | undefined, error: string | undefined): number {
  let bits = 0b111;
  if (status !== undefined) bits &= 1 << statusNames.indexOf(status.toLowerCase());
  if (error === undefined) return bits;
  const word = error.toLowerCase();
  if (word === 'true') return bits & (1 << statusError);
  return word === 'false' ? bits & ~(1 << statusError) : 0;
}

function wantedKind(kind: string | undefined): number {
  if (kind === undefined) return -1;
  const word = kind.toLowerCase();
  const found = word === 'unspecified' ? 0 : spanKindNames.indexOf(word);
  return found > 0 || word === 'unspecified' ? found : -2;
}
