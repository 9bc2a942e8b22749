/**
 * Request targets and authorities as the attributes of spans: split, and with secrets taken out.
 *
 * Cold: the worker calls it for what is exported or logged. What must not leave the process is in
 * semantic conventions' `url.full` and `url.query` (reference/tracing.md 2.1).
 */

export interface TargetParts {
  readonly path: string;
  /** Redacted, without `?`; undefined when the target has none. */
  readonly query: string | undefined;
}

/** Splits a request target at its first `?`. */
export function splitTarget(target: string): TargetParts {
  const mark = target.indexOf('?');
  if (mark === -1) return { path: target, query: undefined };
  return { path: target.slice(0, mark), query: redactQuery(target.slice(mark + 1)) };
}

/** Parameters whose value is a credential: signed URLs of AWS, Azure and Google. Any case is as good. */
const secretParameters: ReadonlySet<string> = new Set([
  'awsaccesskeyid',
  'signature',
  'sig',
  'x-amz-credential',
  'x-amz-security-token',
  'x-amz-signature',
  'x-goog-signature',
]);

/** Bytes of a target that `plainTargetMark` looks at twice, and those that it refuses. */
const SPECIAL = 1;
const REFUSED = 2;
const QUESTION = 0x3f;
const AMPERSAND = 0x26;
const SEMICOLON = 0x3b;
const PERCENT = 0x25;
const SLASH = 0x2f;
/** The bit that tells a small letter from a capital one. */
const LOWER = 0x20;

const targetBytes = Uint8Array.from({ length: 256 }, (_, byte) => {
  if (byte === QUESTION || byte === AMPERSAND || byte === SEMICOLON) return SPECIAL;
  return byte < 0x20 || byte > 0x7e || byte === 0x22 || byte === 0x5c ? REFUSED : 0;
});

/** The first two bytes of secret parameters, as one number each. */
const secretStarts: ReadonlySet<number> = new Set(
  [...secretParameters].map((name) => name.charCodeAt(0) | (name.charCodeAt(1) << 8)),
);

/**
 * Where the query's `?` is in the target `bytes[start..end)`, or `end` without a query; -1 when the
 * target cannot stand in JSON and in an attribute as it is: it has bytes that are escaped or not
 * ASCII, does not begin with a slash, or may hold a secret.
 */
export function plainTargetMark(bytes: Uint8Array, start: number, end: number): number {
  if (start === end || bytes[start] !== SLASH) return -1;
  let mark = end;
  for (let index = start; index < end; index++) {
    const byte = bytes[index]!;
    const kind = targetBytes[byte]!;
    if (kind === 0) continue;
    if (kind === REFUSED) return -1;
    if (byte === QUESTION && mark === end) mark = index;
    // Before the query there are no parameters, and one letter is no secret's name.
    if (mark === end || index + 2 >= end) continue;
    if (maySecretBegin(bytes[index + 1]!, bytes[index + 2]!)) return -1;
  }
  return mark;
}

/** Whether a parameter's name that begins with these bytes may be a secret's. */
function maySecretBegin(first: number, second: number): boolean {
  if (first === PERCENT || second === PERCENT) return true;
  return secretStarts.has(first | LOWER | ((second | LOWER) << 8));
}

/** Not all readers end a parameter at `&` alone, and some take a second `?` for another beginning. */
const NAME = /(?:^|[;?])([^;?=]*)=/g;

/**
 * The query with `REDACTED` for every value of a secret parameter, whose name may be percent-encoded;
 * keys and order stay. A secret goes as far as the next `&`: a `;` may be a part of it.
 */
function redactQuery(query: string): string {
  return query.split('&').map(redactPiece).join('&');
}

function redactPiece(piece: string): string {
  for (const { 0: begin, 1: name = '', index } of piece.matchAll(NAME)) {
    if (secretParameters.has(plainName(name))) {
      return `${piece.slice(0, index + begin.length)}REDACTED`;
    }
  }
  return piece;
}

function plainName(name: string): string {
  const plain = name.replace(/%([0-9a-f]{2})/gi, (_, digits: string) =>
    String.fromCharCode(Number.parseInt(digits, 16)),
  );
  return plain.toLowerCase();
}

export interface AuthorityParts {
  /** Without brackets or userinfo; empty when there is none. */
  readonly host: string;
  /** The scheme's default when none is written. */
  readonly port: number;
  /** `host:port` or `[host]:port` as sent, userinfo redacted. */
  readonly printed: string;
}

/** Splits an authority (Host field); `defaultPort` is the scheme's. */
export function splitAuthority(authority: string, defaultPort: number): AuthorityParts {
  const at = authority.lastIndexOf('@');
  const rest = authority.slice(at + 1);
  const printed = at === -1 ? rest : `REDACTED:REDACTED@${rest}`;
  const bracket = rest.startsWith('[') ? rest.indexOf(']') : -1;
  const colon = rest.indexOf(':', bracket + 1);
  const host =
    bracket === -1 ? rest.slice(0, colon === -1 ? undefined : colon) : rest.slice(1, bracket);
  const digits = colon === -1 ? '' : rest.slice(colon + 1);
  const port = /^[0-9]{1,5}$/.test(digits) ? Number(digits) : defaultPort;
  return { host, port, printed };
}
