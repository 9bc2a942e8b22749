/**
 * The places of a span's JSON that differ between spans of one shape: ids, times, counts, the URL.
 *
 * Whoever writes a span marks them; a SpanShape is cut out of what was written by these marks. What a
 * slot holds is said by its kind alone, so a kind never means two values.
 */

/** Identifiers and times have one width; numbers are blanks with digits at their end; texts any length. */
export const Slot = {
  None: 0,
  TraceId: 1,
  SpanId: 2,
  ParentId: 3,
  Start: 4,
  End: 5,
  PeerPort: 6,
  QueueUs: 7,
  DnsUs: 8,
  ConnectUs: 9,
  TlsUs: 10,
  RequestUs: 11,
  FirstByteUs: 12,
  ResponseUs: 13,
  ProxyUs: 14,
  ConnectionId: 15,
  ConnectionRequests: 16,
  /** Texts from here on: path with query, path, query. */
  Target: 17,
  Path: 18,
  Query: 19,
} as const;

const TIME_DIGITS = 7;
const COUNT_DIGITS = 10;
const PORT_DIGITS = 5;

/** A time beyond it does not fit into its slot. */
export const SLOT_TIME_US_MAX = 10 ** TIME_DIGITS - 1;
/** The same for a count. */
export const SLOT_COUNT_MAX = 0x7fff_ffff;

/** Attributes that are slots. */
export const slotOfAttribute: ReadonlyMap<string, number> = new Map<string, number>([
  ['network.peer.port', Slot.PeerPort],
  ['tracecar.time.queue_us', Slot.QueueUs],
  ['tracecar.time.dns_us', Slot.DnsUs],
  ['tracecar.time.connect_us', Slot.ConnectUs],
  ['tracecar.time.tls_us', Slot.TlsUs],
  ['tracecar.time.request_us', Slot.RequestUs],
  ['tracecar.time.ttfb_us', Slot.FirstByteUs],
  ['tracecar.time.response_us', Slot.ResponseUs],
  ['tracecar.time.proxy_us', Slot.ProxyUs],
  ['tracecar.conn.id', Slot.ConnectionId],
  ['tracecar.conn.requests', Slot.ConnectionRequests],
  ['url.full', Slot.Target],
  ['url.path', Slot.Path],
  ['url.query', Slot.Query],
]);

/** Bytes of a number's slot; 0 when it stays as wide as it was written. */
export function slotDigits(kind: number): number {
  if (kind === Slot.PeerPort) return PORT_DIGITS;
  if (kind >= Slot.QueueUs && kind <= Slot.ProxyUs) return TIME_DIGITS;
  return kind === Slot.ConnectionId || kind === Slot.ConnectionRequests ? COUNT_DIGITS : 0;
}

export function isTextSlot(kind: number): boolean {
  return kind >= Slot.Target;
}

/** The slots of one span, in the order of their bytes. */
export class SlotMarks {
  readonly kinds: number[] = [];
  readonly starts: number[] = [];
  readonly ends: number[] = [];

  reset(): void {
    this.kinds.length = 0;
    this.starts.length = 0;
    this.ends.length = 0;
  }

  /** Bytes `start` to `end` of the memory written into are the slot. */
  add(kind: number, start: number, end: number): void {
    this.kinds.push(kind);
    this.starts.push(start);
    this.ends.push(end);
  }
}
