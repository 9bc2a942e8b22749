/**
 * The frames of a watch: one JSON object a line, cut out of chunks of any size.
 *
 * A line over the limit, one that is no JSON and one that is no event are errors: the caller may
 * have missed something then and has to ask again.
 */

import { kubeLimits } from '../model/injector-limits.ts';
import { KubeError } from './kube-error.ts';
import type { WatchEvent } from './kube-object.ts';

const eventTypes: ReadonlySet<unknown> = new Set([
  'ADDED',
  'MODIFIED',
  'DELETED',
  'BOOKMARK',
  'ERROR',
]);
const lineFeed = 0x0a;

export class EventLines {
  readonly #bytesMax: number;
  #held: Buffer[] = [];
  #heldBytes = 0;

  constructor(bytesMax: number = kubeLimits.eventBytesMax) {
    this.#bytesMax = bytesMax;
  }

  /** The events that `chunk` completes. Throws KubeError with reason `Garbled`. */
  *push(chunk: Buffer): Generator<WatchEvent> {
    let start = 0;
    for (let end = chunk.indexOf(lineFeed); end !== -1; end = chunk.indexOf(lineFeed, start)) {
      this.#hold(chunk.subarray(start, end));
      start = end + 1;
      const line = Buffer.concat(this.#held).toString('utf8');
      this.#held = [];
      this.#heldBytes = 0;
      if (line.trim() !== '') yield readEvent(line);
    }
    this.#hold(chunk.subarray(start));
  }

  #hold(part: Buffer): void {
    if (part.length === 0) return;
    this.#heldBytes += part.length;
    if (this.#heldBytes > this.#bytesMax) {
      throw garbled(`an event of more than ${this.#bytesMax} bytes`);
    }
    this.#held.push(part);
  }
}

function readEvent(line: string): WatchEvent {
  let event: { type?: unknown; object?: unknown } | null;
  try {
    event = JSON.parse(line);
  } catch {
    throw garbled(`an event that is no JSON: ${JSON.stringify(line.slice(0, 60))}`);
  }
  if (typeof event !== 'object' || event === null || !eventTypes.has(event.type)) {
    throw garbled(`an event of no known type: ${JSON.stringify(line.slice(0, 60))}`);
  }
  const object = event.object as { metadata?: unknown } | null | undefined;
  const isObject = typeof object === 'object' && object !== null;
  const hasHead = isObject && typeof object.metadata === 'object' && object.metadata !== null;
  if (!isObject || (event.type !== 'ERROR' && !hasHead)) {
    throw garbled(`an event without an object: ${JSON.stringify(line.slice(0, 60))}`);
  }
  return event as unknown as WatchEvent;
}

function garbled(what: string): KubeError {
  return new KubeError(0, 'Garbled', `the watch sent ${what}`);
}
