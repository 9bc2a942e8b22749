/**
 * Refusals: the closed table of reasons why a message is not taken, one row a reason.
 *
 * A reason is a small integer; its row says which failure a request gets and what is wrong. The same
 * defect in a response is always the upstream's (`upstream-protocol-error`, or the too-big form).
 * Offsets and reasons are the same for every split of the bytes: each is found at a fixed byte.
 */

export interface Refusal {
  /** One of `Reason`. */
  readonly reason: number;
  readonly cause: RefusalCause;
  /** What is wrong, for a person and the log: no input bytes but a field name. */
  readonly detail: string;
  /** Byte offset from the first byte of the start line; of the body for body reasons. */
  readonly offset: number;
  /** The offending field's name as sent (at most `fieldNameBytesMax`), or ''. */
  readonly field: string;
}

/** Which side of an exchange a reader listens to. */
export type Role = 'request' | 'response';

const rows = [
  ['None', 'protocol-error', ''],
  // Start line.
  ['Junk', 'protocol-error', 'the first bytes are not HTTP/1.1'],
  ['TlsHello', 'protocol-error', 'a TLS handshake on a plain HTTP port'],
  ['Http2Preface', 'protocol-error', 'an HTTP/2 preface on an HTTP/1.1 port'],
  ['ProxyLine', 'protocol-error', 'a PROXY protocol line that was not asked for'],
  ['LeadingLines', 'protocol-error', 'more than one empty line before the start line'],
  ['MethodByte', 'protocol-error', 'a byte that no method may contain'],
  ['MethodUnknown', 'not-implemented', 'a method that this proxy does not forward'],
  ['MethodRefused', 'method-not-allowed', 'CONNECT and TRACE are not forwarded'],
  ['MethodBody', 'protocol-error', 'a CONNECT or TRACE request with a body'],
  ['TargetMissing', 'protocol-error', 'more than one space, or nothing, before the target'],
  ['TargetByte', 'protocol-error', 'a byte that no request target may contain'],
  ['TargetFragment', 'protocol-error', 'a fragment (#) in the request target'],
  ['TargetEscape', 'protocol-error', 'a bad percent-encoding in the path'],
  ['TargetHiddenByte', 'protocol-error', '%00, %2f or %5c in the path'],
  ['TargetForm', 'protocol-error', 'a request target in a form that this method does not take'],
  ['TargetAuthority', 'protocol-error', 'an absolute target whose authority is not the Host'],
  ['TargetLong', 'target-too-long', 'the request target is over the limit'],
  ['Version', 'protocol-error', 'no HTTP/1.0 or HTTP/1.1 after the target'],
  ['VersionUnknown', 'version-not-supported', 'an HTTP version other than 1.0 and 1.1'],
  ['Status', 'protocol-error', 'a status line without a status from 100 to 599'],
  ['ReasonByte', 'protocol-error', 'a byte that no reason phrase may contain'],
  // Lines and fields.
  ['BareLf', 'protocol-error', 'a line that ends in LF without CR'],
  ['BareCr', 'protocol-error', 'a CR without LF'],
  ['Fold', 'protocol-error', 'a line that begins with white space (obsolete folding)'],
  ['FieldNameEmpty', 'protocol-error', 'a field without a name'],
  ['FieldNameByte', 'protocol-error', 'a byte that no field name may contain'],
  ['FieldNameSpace', 'protocol-error', 'white space in or after a field name'],
  ['FieldNoColon', 'protocol-error', 'a field line without a colon'],
  ['FieldNameLong', 'head-too-big', 'a field name is over the limit'],
  ['FieldValueByte', 'protocol-error', 'a control byte in a field value'],
  ['FieldUnderscored', 'protocol-error', 'a sensitive field name written with _ for -'],
  ['HeadLong', 'head-too-big', 'the head is over its limit of bytes'],
  ['ConnectionLong', 'head-too-big', 'Connection is over its limit of bytes'],
  ['FieldsMany', 'head-too-big', 'the head is over its limit of fields'],
  // Framing.
  ['LengthInvalid', 'protocol-error', 'Content-Length is not one decimal number'],
  ['LengthTwice', 'protocol-error', 'more than one Content-Length'],
  ['LengthHuge', 'body-too-big', 'Content-Length is over 2^53 - 1'],
  ['LengthAndCoding', 'protocol-error', 'both Content-Length and Transfer-Encoding'],
  ['LengthUnexpected', 'protocol-error', 'a body length in a response that has no body'],
  ['CodingInvalid', 'protocol-error', 'Transfer-Encoding is not the single word chunked'],
  ['CodingUnknown', 'not-implemented', 'a transfer coding other than chunked'],
  ['CodingOnHttp10', 'protocol-error', 'Transfer-Encoding in an HTTP/1.0 message'],
  // Host, Expect, Upgrade.
  ['HostMissing', 'protocol-error', 'no Host'],
  ['HostTwice', 'protocol-error', 'more than one Host'],
  ['HostInvalid', 'protocol-error', 'Host is not a name or address with an optional port'],
  ['Expectation', 'expectation-failed', 'an expectation other than 100-continue'],
  ['WebSocketKey', 'protocol-error', 'a WebSocket upgrade without a key'],
  ['UpgradeBody', 'protocol-error', 'a WebSocket upgrade with a body'],
  ['SwitchUnasked', 'protocol-error', 'a switch of protocols (101) that was not asked for'],
  // Body.
  ['ChunkSize', 'protocol-error', 'a chunk size that is not 1 to 12 hexadecimal digits'],
  ['ChunkExtension', 'protocol-error', 'a malformed chunk extension'],
  ['ChunkExtensionLong', 'body-too-big', 'chunk extensions over the limit'],
  ['ChunkEnd', 'protocol-error', 'no CRLF where a chunk ends'],
  ['TrailersLong', 'head-too-big', 'the trailers are over their limit'],
  ['BodyCut', 'client-gone', 'the connection ended in the middle of the body'],
] as const;

/** Words of model/failure.ts: each is a `Cause` there, which says what is answered. */
export type RefusalCause =
  | (typeof rows)[number][1]
  | 'upstream-protocol-error'
  | 'response-head-too-big'
  | 'upstream-cut';

type ReasonName = (typeof rows)[number][0];

/** Reasons by name. */
export const Reason = Object.freeze(
  Object.fromEntries(rows.map(([name], id) => [name, id])),
) as Readonly<Record<ReasonName, number>>;

/** The name of a reason, for tests and metric labels. */
export function reasonName(reason: number): string {
  return rows[reason]?.[0] ?? '';
}

/** A refusal with this reason; `Reason.None` makes the value that readers hold before any. */
export function refuse(reason: number, role: Role, offset: number, field: string): Refusal {
  const row = rows[reason]!;
  const cause = role === 'request' ? row[1] : upstreamCause(row[1]);
  return { reason, cause, detail: row[2], offset, field };
}

function upstreamCause(cause: RefusalCause): RefusalCause {
  if (cause === 'head-too-big') return 'response-head-too-big';
  if (cause === 'client-gone') return 'upstream-cut';
  return 'upstream-protocol-error';
}

/** What `refusal` holds while nothing was refused. */
export const noRefusal: Refusal = Object.freeze(refuse(Reason.None, 'request', 0, ''));
