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

/** Parameters whose value is a credential: signed URLs of AWS, Azure and Google. */
const secretParameters: ReadonlySet<string> = new Set([
  'AWSAccessKeyId',
  'Signature',
  'sig',
  'X-Amz-Credential',
  'X-Amz-Security-Token',
  'X-Amz-Signature',
  'X-Goog-Signature',
]);

/** The query with `REDACTED` for every value of a secret parameter; keys and order stay. */
function redactQuery(query: string): string {
  return query
    .split('&')
    .map((pair) => {
      const equals = pair.indexOf('=');
      const isSecret = equals !== -1 && secretParameters.has(pair.slice(0, equals));
      return isSecret ? `${pair.slice(0, equals)}=REDACTED` : pair;
    })
    .join('&');
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
