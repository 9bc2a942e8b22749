/**
 * The Connection field: whether the connection goes on, and which fields end at this hop.
 *
 * Fields that Connection names are dropped before anything of ours is added, so that a peer cannot
 * strip what we add. Framing, Host and Expect are never lost to a nomination (reliability.md rows 21,
 * 22 and 145). Members that are no tokens name nothing and are passed over. A Connection that names
 * nothing but what is known may go on where a message goes on as it was sent.
 */

import { FieldId } from './field-id.ts';
import { Dropped, equalsLower, type MessageHead } from './message-head.ts';

/** Bits of what `readConnection` returns. */
export const ConnectionOption = { Close: 1, KeepAlive: 2, Upgrade: 4 } as const;

const KEEP_ALIVE = 'keep-alive';
const CLOSE = 'close';

/** Of fields that have their own rules, named or not. */
const harmlessMembers = ['', 'te', 'http2-settings'];

/** What `readConnection` returns when the fields are longer than allowed. */
export const CONNECTION_LONG = -1;

/** Reads every Connection field of the head, from index `first`, and drops the fields they name. */
export function readConnection(head: MessageHead, first: number, bytesMax: number): number {
  const start = head.valueStart[first]!;
  const length = head.valueEnd[first]! - start;
  if (head.indexOf(FieldId.Connection, first + 1) < 0) {
    if (length === KEEP_ALIVE.length && equalsLower(head.text, start, KEEP_ALIVE)) {
      return ConnectionOption.KeepAlive;
    }
    if (length === CLOSE.length && equalsLower(head.text, start, CLOSE)) {
      return ConnectionOption.Close;
    }
  }
  return readMembers(head, first, bytesMax);
}

function readMembers(head: MessageHead, first: number, bytesMax: number): number {
  const nominated = new Set<string>();
  let bytes = 0;
  for (let index = first; index >= 0; index = head.indexOf(FieldId.Connection, index + 1)) {
    bytes += head.valueEnd[index]! - head.valueStart[index]!;
    if (bytes > bytesMax) return CONNECTION_LONG;
    for (const member of head.value(index).split(',')) nominated.add(member.trim().toLowerCase());
  }
  let options = 0;
  if (nominated.delete(CLOSE)) options |= ConnectionOption.Close;
  if (nominated.delete(KEEP_ALIVE)) options |= ConnectionOption.KeepAlive;
  if (nominated.delete('upgrade')) options |= ConnectionOption.Upgrade;
  for (const harmless of harmlessMembers) nominated.delete(harmless);
  if (nominated.size > 0) dropNominated(head, nominated);
  return options;
}

function dropNominated(head: MessageHead, nominated: ReadonlySet<string>): void {
  for (let index = 0; index < head.count; index++) {
    const id = head.ids[index];
    const isKept =
      id === FieldId.Host ||
      id === FieldId.ContentLength ||
      id === FieldId.TransferEncoding ||
      id === FieldId.Expect;
    const isDropped = !isKept && nominated.has(head.name(index).toLowerCase());
    if (isDropped || id === FieldId.Connection) head.dropped[index] = Dropped.Never;
  }
}
