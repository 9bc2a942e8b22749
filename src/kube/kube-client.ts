/**
 * Calls to the Kubernetes API server over one undici pool.
 *
 * It knows paths, not kinds, and repeats nothing by itself but a call whose token was refused: who
 * calls knows what is safe to repeat. Lists and watches that heal themselves are resource-watch.ts.
 */

import { Pool } from 'undici';
import { type Clock, systemClock } from '../base/clock.ts';
import { kubeLimits } from '../model/injector-limits.ts';
import { KubeError, refusedCall, unreachedCall } from './kube-error.ts';
import type { KubeList, KubeObject } from './kube-object.ts';
import { type KubeSettings, readInClusterSettings, ServiceAccount } from './service-account.ts';

export type Query = Readonly<Record<string, string | number | boolean>>;
export type PatchKind = 'json' | 'merge' | 'apply';
type Method = 'GET' | 'POST' | 'PUT' | 'PATCH' | 'DELETE';

export interface CallOptions {
  readonly query?: Query;
  readonly accept?: string;
  readonly signal?: AbortSignal;
}

interface Call extends CallOptions {
  readonly method: Method;
  readonly path: string;
  readonly body?: unknown;
  readonly contentType?: string;
  readonly isStream?: boolean;
}

const patchTypes: Readonly<Record<PatchKind, string>> = {
  json: 'application/json-patch+json',
  merge: 'application/merge-patch+json',
  apply: 'application/apply-patch+yaml',
};

export class KubeClient {
  readonly #settings: KubeSettings;
  readonly #account: ServiceAccount;
  #pool: Pool;
  #poolCa: string;
  #isClosed = false;

  constructor(settings: KubeSettings, clock: Clock = systemClock) {
    this.#settings = settings;
    this.#account = new ServiceAccount(settings, clock);
    this.#poolCa = this.#account.ca;
    this.#pool = openPool(settings.server, this.#poolCa);
  }

  /**
   * The client of a pod. Throws KubeError when this is not a pod: `environment` (the process's) has
   * no KUBERNETES_SERVICE_HOST.
   */
  static inCluster(
    environment: Readonly<Record<string, string | undefined>>,
    userAgent: string,
    folder?: string,
  ): KubeClient {
    const settings = readInClusterSettings(environment, userAgent, folder);
    if (settings === undefined) {
      throw new KubeError(
        0,
        'NotInCluster',
        'this is not a pod: KUBERNETES_SERVICE_HOST is not set; run it in the cluster with `tracecar install | kubectl apply -f -`',
      );
    }
    return new KubeClient(settings);
  }

  /** `https://10.96.0.1:443`: for messages. */
  get server(): string {
    return this.#settings.server;
  }

  /** Reads one object. Every method here rejects with KubeError. */
  get(path: string, options: CallOptions = {}): Promise<KubeObject> {
    return this.#call({ ...options, method: 'GET', path }) as Promise<KubeObject>;
  }

  /** Reads one page; `metadata.continue` asks for the next. */
  list(path: string, options: CallOptions = {}): Promise<KubeList> {
    return this.#call({ ...options, method: 'GET', path }) as Promise<unknown> as Promise<KubeList>;
  }

  /** POSTs `body` to a collection: 409 AlreadyExists when the name is taken. */
  create(path: string, body: unknown, options: CallOptions = {}): Promise<KubeObject> {
    return this.#call({ ...options, method: 'POST', path, body });
  }

  /** PUTs a whole object: 409 Conflict when its resourceVersion is no longer the newest. */
  replace(path: string, body: unknown, options: CallOptions = {}): Promise<KubeObject> {
    return this.#call({ ...options, method: 'PUT', path, body });
  }

  /** `apply` is server-side apply and wants `query.fieldManager`. */
  patch(
    path: string,
    kind: PatchKind,
    body: unknown,
    options: CallOptions = {},
  ): Promise<KubeObject> {
    return this.#call({ ...options, method: 'PATCH', path, body, contentType: patchTypes[kind] });
  }

  delete(path: string, options: CallOptions = {}): Promise<KubeObject> {
    return this.#call({ ...options, method: 'DELETE', path });
  }

  /** The bytes of a watch as they come, until the server ends it or the signal does. */
  async watch(path: string, options: CallOptions): Promise<AsyncIterable<Buffer>> {
    const query = { ...options.query, watch: 1 };
    const answer = await this.#send({ ...options, query, method: 'GET', path, isStream: true });
    return answer.body;
  }

  /** Ends all connections, calls under way included. */
  async close(): Promise<void> {
    this.#isClosed = true;
    await this.#pool.destroy();
  }

  async #call(call: Call): Promise<KubeObject> {
    const { body } = await this.#send(call);
    let text: string;
    try {
      text = await body.text();
    } catch (error) {
      throw unreachedCall(`${call.method} ${call.path}`, this.server, error);
    }
    try {
      return JSON.parse(text) as KubeObject;
    } catch {
      const start = JSON.stringify(text.slice(0, 60));
      throw new KubeError(
        0,
        'NotJson',
        `${call.method} ${call.path}: ${this.server} answers no JSON: ${start}`,
      );
    }
  }

  /** Sends until the head of a success is there. */
  async #send(call: Call) {
    const name = `${call.method} ${call.path}`;
    let answer = await this.#request(call, name);
    if (answer.statusCode === 401) {
      await answer.body.dump();
      this.#account.forget();
      answer = await this.#request(call, name);
    }
    if (answer.statusCode < 300) return answer;
    const body = await answer.body.text().catch(() => '');
    const retryAfter = answer.headers['retry-after'];
    throw refusedCall(
      name,
      answer.statusCode,
      body,
      typeof retryAfter === 'string' ? retryAfter : undefined,
    );
  }

  async #request(call: Call, name: string) {
    const { token } = this.#account;
    try {
      return await this.#currentPool().request({
        method: call.method,
        path: withQuery(call.path, call.query),
        headers: {
          accept: call.accept ?? 'application/json',
          'user-agent': this.#settings.userAgent,
          ...(token === '' ? {} : { authorization: `Bearer ${token}` }),
          ...(call.body === undefined
            ? {}
            : { 'content-type': call.contentType ?? 'application/json' }),
        },
        ...(call.body === undefined ? {} : { body: JSON.stringify(call.body) }),
        ...(call.signal === undefined ? {} : { signal: call.signal }),
        // A watch is silent for as long as nothing happens; its reader has a watchdog of its own.
        bodyTimeout: call.isStream === true ? 0 : kubeLimits.callTimeoutMs,
      });
    } catch (error) {
      throw unreachedCall(name, this.server, error);
    }
  }

  /** Calls under way finish on the pool they began with. */
  #currentPool(): Pool {
    const { ca } = this.#account;
    if (ca === this.#poolCa || this.#isClosed) return this.#pool;
    void this.#pool.close();
    this.#poolCa = ca;
    this.#pool = openPool(this.#settings.server, ca);
    return this.#pool;
  }
}

function openPool(server: string, ca: string): Pool {
  return new Pool(server, {
    connect: { timeout: kubeLimits.connectTimeoutMs, ...(ca === '' ? {} : { ca }) },
    headersTimeout: kubeLimits.callTimeoutMs,
    // Over HTTP/2 all calls and watches would share one connection, and when that is dead without a
    // word no call would ever get through: over HTTP/1.1 a call that times out ends its own.
    allowH2: false,
    // Watches hold a connection each; calls need some beside them.
    connections: 16,
    pipelining: 1,
  });
}

function withQuery(path: string, query: Query | undefined): string {
  if (query === undefined) return path;
  const text = new URLSearchParams(
    Object.entries(query).map(([name, value]): [string, string] => [name, String(value)]),
  ).toString();
  return text === '' ? path : `${path}?${text}`;
}
