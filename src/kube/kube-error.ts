/**
 * Why a call to the Kubernetes API server failed, with what to do about it.
 *
 * One class for a refusal by the server (`status` is HTTP's) and for a server that was not reached
 * (`status` 0). `message` is one line for a person; code decides by `status` and `reason`.
 */

export class KubeError extends Error {
  override readonly name = 'KubeError';
  /** HTTP status, 0 when there was no answer. */
  readonly status: number;
  /** The server's word, `AlreadyExists`, or the system's, `ECONNREFUSED`. */
  readonly reason: string;
  /** What the server asked to wait; undefined when it did not say. */
  readonly retryAfterMs: number | undefined;

  constructor(status: number, reason: string, message: string, retryAfterMs?: number) {
    super(message);
    this.status = status;
    this.reason = reason;
    this.retryAfterMs = retryAfterMs;
  }
}

/** Whether `error` is a refusal with that HTTP status. */
export function isKubeStatus(error: unknown, status: number): boolean {
  return error instanceof KubeError && error.status === status;
}

/** An answer that is no success. `call` is `GET /api/v1/namespaces`; `body` should be a Status. */
export function refusedCall(
  call: string,
  status: number,
  body: string,
  retryAfter: string | undefined,
): KubeError {
  const { reason, message } = readStatus(body);
  const said = message === '' ? `status ${status}` : message;
  const hint = hintOf(status, reason);
  const seconds =
    retryAfter !== undefined && /^\d{1,5}$/.test(retryAfter) ? +retryAfter : undefined;
  return new KubeError(
    status,
    reason,
    `${call}: ${said}${hint === '' ? '' : `; ${hint}`}`,
    seconds === undefined ? undefined : seconds * 1_000,
  );
}

/** No answer. `error` is what undici or the system threw. */
export function unreachedCall(call: string, server: string, error: unknown): KubeError {
  const code = codeOf(error);
  const text = error instanceof Error ? error.message : String(error);
  const hint = unreachedHints[code];
  return new KubeError(
    0,
    code,
    `${call}: no answer from ${server}: ${text}${hint === undefined ? '' : `; ${hint}`}`,
  );
}

const unreachedHints: Readonly<Record<string, string>> = {
  ECONNREFUSED: 'is that the address of the API server, and does it run?',
  ENOTFOUND: 'the name is not known; in a cluster KUBERNETES_SERVICE_HOST is an address',
  EAI_AGAIN: 'the name server does not answer',
  UND_ERR_CONNECT_TIMEOUT: 'a NetworkPolicy or a firewall may stand between',
  UNABLE_TO_VERIFY_LEAF_SIGNATURE: 'the service account has the certificates of another cluster',
  SELF_SIGNED_CERT_IN_CHAIN: 'the service account has the certificates of another cluster',
  DEPTH_ZERO_SELF_SIGNED_CERT: 'the service account has the certificates of another cluster',
  CERT_HAS_EXPIRED: "the API server's certificate has expired, or this machine's clock is wrong",
};

function hintOf(status: number, reason: string): string {
  switch (status) {
    case 401:
      return 'the token is not accepted: has the service account been deleted?';
    case 403:
      return 'grant it with a Role or ClusterRole (`tracecar install` prints ours)';
    case 404:
      return reason === '' ? 'this API server does not serve that path' : '';
    case 429:
      return 'the API server is busy and asks to come back later';
    default:
      return '';
  }
}

function readStatus(body: string): { reason: string; message: string } {
  try {
    const status: unknown = JSON.parse(body);
    if (typeof status !== 'object' || status === null) return { reason: '', message: '' };
    const { reason, message } = status as { reason?: unknown; message?: unknown };
    return {
      reason: typeof reason === 'string' ? reason : '',
      message: typeof message === 'string' ? message.slice(0, 500) : '',
    };
  } catch {
    return { reason: '', message: '' };
  }
}

function codeOf(error: unknown): string {
  for (let each = error; each instanceof Error; each = each.cause) {
    const { code } = each as NodeJS.ErrnoException;
    if (code !== undefined) return code;
  }
  return error instanceof Error ? error.name : 'unknown';
}
