/**
 * Field lines up to the empty line that ends a head (RFC 9112 section 5).
 *
 * One pass over the bytes: offsets into the list, the known name's id, whether it is hop-by-hop. No
 * string is made. Strict: CRLF only, no folding, token names with the colon right behind, values of
 * HTAB, SP, visible ASCII and obs-text. Of a response that goes on as it was sent, LF alone and folded
 * lines are taken (section 2.2): its reader has always had to. What the fields mean is framing.ts's.
 */

import { COLON, CR, HTAB, isToken, isValue, LF, SP } from './byte-class.ts';
import { FieldId, fieldIdOf, fieldNames, UNDERSCORED } from './field-id.ts';
import { type HeadCursor, Progress, Step } from './head-cursor.ts';
import { Dropped } from './message-head.ts';
import { Reason } from './refusal.ts';

/** Marks of fields that end at this hop whether Connection names them or not (RFC 9110 7.6.1). */
const hopByHop = new Uint8Array(fieldNames.length);
for (const id of [
  FieldId.TransferEncoding,
  FieldId.Connection,
  FieldId.KeepAlive,
  FieldId.ProxyConnection,
  FieldId.Te,
  FieldId.Upgrade,
  FieldId.Http2Settings,
  FieldId.ProxyAuthorization,
]) {
  hopByHop[id] = Dropped.Normalised;
}

/** Reads on in the fields; Next when the empty line is complete. */
export function readFieldLines(cursor: HeadCursor): number {
  const { buffer, start, stop, head } = cursor;
  let at = cursor.at;
  let step = cursor.step;
  let index = head.count;
  const takesLf = cursor.isLenient && cursor.role === 'response';
  for (;;) {
    if (step === Step.LineStart) {
      if (at === stop) return cursor.pause(at, Step.LineStart);
      if (buffer[at] === CR) {
        at++;
        break;
      }
      if (takesLf && buffer[at] === LF) return endAt(cursor, at, at);
      if (takesLf && index > 0 && (buffer[at] === SP || buffer[at] === HTAB)) {
        head.count = --index;
        step = Step.Value;
      } else {
        if (index === head.ids.length) head.grow();
        head.nameStart[index] = at - start;
        step = Step.Name;
      }
    }
    if (step === Step.Name) {
      while (at < stop && isToken[buffer[at]!] === 1) at++;
      const nameStart = start + head.nameStart[index]!;
      if (at - nameStart > cursor.nameBytesMax) return refuseLongName(cursor, nameStart);
      if (at === stop) return cursor.pause(at, Step.Name);
      if (buffer[at] !== COLON || at === nameStart) return refuseNameByte(cursor, at, nameStart);
      if (index === cursor.fieldsMax) return cursor.refuseField(Reason.FieldsMany, at, at);
      const id = fieldIdOf(buffer, nameStart, at);
      if (id === UNDERSCORED) return cursor.refuseField(Reason.FieldUnderscored, nameStart, at);
      head.ids[index] = id;
      head.dropped[index] = hopByHop[id]!;
      head.nameEnd[index] = at - start;
      at++;
      step = Step.ValueStart;
    }
    if (step === Step.ValueStart) {
      while (at < stop && (buffer[at] === SP || buffer[at] === HTAB)) at++;
      if (at === stop) return cursor.pause(at, Step.ValueStart);
      head.valueStart[index] = at - start;
      step = Step.Value;
    }
    if (step === Step.Value) {
      while (at < stop && isValue[buffer[at]!] === 1) at++;
      if (at === stop) return cursor.pause(at, Step.Value);
      const isCr = buffer[at] === CR;
      if (!isCr && !(takesLf && buffer[at] === LF)) return refuseValueByte(cursor, at);
      head.valueEnd[index] = trimmedEnd(buffer, start + head.valueStart[index]!, at) - start;
      if (isCr) at++;
      step = Step.ValueLf;
    }
    if (step === Step.ValueLf) {
      if (at === stop) return cursor.pause(at, Step.ValueLf);
      if (buffer[at] !== LF) return refuseLoneCr(cursor, at);
      at++;
      head.lineEnd[index] = at - start;
      head.count = ++index;
      step = Step.LineStart;
    } else {
      break;
    }
  }
  return readEnd(cursor, at);
}

function readEnd(cursor: HeadCursor, at: number): number {
  if (at === cursor.stop) return cursor.pause(at, Step.EndLf);
  if (cursor.buffer[at] !== LF) return cursor.refuse(Reason.BareCr, at - 1, '');
  return endAt(cursor, at - 1, at);
}

/** The empty line begins at `from` and its LF is at `lf`. */
function endAt(cursor: HeadCursor, from: number, lf: number): number {
  cursor.head.fieldsEnd = from - cursor.start;
  cursor.at = lf + 1;
  return Progress.Next;
}

function trimmedEnd(buffer: Buffer, start: number, from: number): number {
  let end = from;
  while (end > start && (buffer[end - 1] === SP || buffer[end - 1] === HTAB)) end--;
  return end;
}

function refuseLongName(cursor: HeadCursor, nameStart: number): number {
  const at = nameStart + cursor.nameBytesMax;
  return cursor.refuseField(Reason.FieldNameLong, at, at);
}

function refuseNameByte(cursor: HeadCursor, at: number, nameStart: number): number {
  const byte = cursor.buffer[at]!;
  if (byte === LF) return cursor.refuseField(Reason.BareLf, at, at);
  const isSpace = byte === SP || byte === HTAB;
  if (at === nameStart) {
    if (isSpace) return cursor.refuse(Reason.Fold, at, '');
    return cursor.refuse(byte === COLON ? Reason.FieldNameEmpty : Reason.FieldNameByte, at, '');
  }
  if (isSpace) return cursor.refuseField(Reason.FieldNameSpace, at, at);
  if (byte === CR) return cursor.refuseField(Reason.FieldNoColon, at, at);
  return cursor.refuseField(Reason.FieldNameByte, at, at);
}

function refuseValueByte(cursor: HeadCursor, at: number): number {
  const reason = cursor.buffer[at] === LF ? Reason.BareLf : Reason.FieldValueByte;
  return cursor.refuseField(reason, at, nameEndOf(cursor));
}

function refuseLoneCr(cursor: HeadCursor, at: number): number {
  return cursor.refuseField(Reason.BareCr, at - 1, nameEndOf(cursor));
}

function nameEndOf(cursor: HeadCursor): number {
  return cursor.start + cursor.head.nameEnd[cursor.head.count]!;
}
