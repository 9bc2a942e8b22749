/**
 * The few answers of an API server that the injector's start needs, from three maps in memory.
 *
 * No double of it: it knows versions and conflicts of single objects, JSON merge and one kind of JSON
 * Patch, and watches that deliver what `write` stores. How the real one behaves is tested in test/peers.
 */

import { createServer, type IncomingMessage, type ServerResponse } from 'node:http';
import { createServer as createSecureServer } from 'node:https';
import type { AddressInfo } from 'node:net';

export interface StoredObject {
  metadata: {
    name: string;
    resourceVersion?: string;
    labels?: Record<string, string>;
    annotations?: Record<string, string>;
  };
  [field: string]: unknown;
}

interface Watcher {
  readonly collection: string;
  readonly name: string | undefined;
  readonly response: ServerResponse;
}

export class ScriptedApi {
  /** By path: `/api/v1/namespaces/shop`. */
  readonly objects = new Map<string, StoredObject>();
  /** `POST /api/v1/...` in the order of their coming; reads and watches are left out. */
  readonly writes: string[] = [];
  /** Paths of single objects that were read. */
  readonly reads: string[] = [];
  /** Called before a single object is answered. */
  beforeRead: () => void = () => {};
  /** Called before a write is done: another replica may be faster. */
  beforeWrite: (call: string) => void = () => {};
  readonly #server;
  readonly #watchers = new Set<Watcher>();
  #version = 100;

  constructor(tls?: { readonly cert: string; readonly key: string }) {
    const serve = (request: IncomingMessage, response: ServerResponse) => {
      void this.#serve(request, response);
    };
    this.#server = tls === undefined ? createServer(serve) : createSecureServer(tls, serve);
  }

  async start(): Promise<void> {
    await new Promise<void>((resolve) => this.#server.listen(0, '127.0.0.1', resolve));
  }

  get port(): number {
    return (this.#server.address() as AddressInfo).port;
  }

  async close(): Promise<void> {
    this.#server.closeAllConnections();
    await new Promise<void>((resolve) => this.#server.close(() => resolve()));
  }

  /** Stores an object with a new version and tells the watchers. */
  write(path: string, object: StoredObject): StoredObject {
    this.#version += 1;
    const type = this.objects.has(path) ? 'MODIFIED' : 'ADDED';
    const stored = structuredClone(object);
    stored.metadata.resourceVersion = String(this.#version);
    this.objects.set(path, stored);
    this.#tell(type, path, stored);
    return stored;
  }

  remove(path: string): void {
    const object = this.objects.get(path);
    if (object === undefined) return;
    this.objects.delete(path);
    this.#tell('DELETED', path, object);
  }

  #tell(type: string, path: string, object: StoredObject): void {
    for (const { collection, name, response } of this.#watchers) {
      if (path !== `${collection}/${object.metadata.name}`) continue;
      if (name !== undefined && name !== object.metadata.name) continue;
      response.write(`${JSON.stringify({ type, object })}\n`);
    }
  }

  async #serve(request: IncomingMessage, response: ServerResponse): Promise<void> {
    let body = '';
    for await (const chunk of request) body += chunk;
    const { pathname: path, searchParams: query } = new URL(request.url ?? '', 'http://api');
    if (request.method === 'GET') {
      this.#read(path, query, response);
      return;
    }
    const call = `${request.method} ${path}`;
    this.beforeWrite(call);
    this.writes.push(call);
    this.#change(request, path, JSON.parse(body), response);
  }

  #read(path: string, query: URLSearchParams, response: ServerResponse): void {
    if (query.has('watch')) {
      response.writeHead(200, { 'content-type': 'application/json' });
      response.flushHeaders();
      const name = query.get('fieldSelector')?.split('=')[1];
      const watcher: Watcher = { collection: path, name, response };
      this.#watchers.add(watcher);
      response.on('close', () => this.#watchers.delete(watcher));
      // What was written between the list and this watch.
      const from = Number(query.get('resourceVersion') ?? this.#version);
      for (const [key, object] of this.objects) {
        if (key !== `${path}/${object.metadata.name}`) continue;
        if (name !== undefined && name !== object.metadata.name) continue;
        if (Number(object.metadata.resourceVersion) <= from) continue;
        response.write(`${JSON.stringify({ type: 'MODIFIED', object })}\n`);
      }
      return;
    }
    if (!query.has('limit')) {
      this.reads.push(path);
      this.beforeRead();
    }
    const object = this.objects.get(path);
    if (object !== undefined) {
      answer(response, 200, object);
      return;
    }
    const name = query.get('fieldSelector')?.split('=')[1];
    if (!query.has('limit')) {
      refuse(response, 404, 'NotFound');
      return;
    }
    const items = [...this.objects].filter(([key]) => {
      const isIn = key.slice(0, key.lastIndexOf('/')) === path;
      return isIn && (name === undefined || key === `${path}/${name}`);
    });
    answer(response, 200, {
      metadata: { resourceVersion: String(this.#version) },
      items: items.map(([, each]) => each),
    });
  }

  #change(
    request: IncomingMessage,
    path: string,
    body: StoredObject | Record<string, unknown>[],
    response: ServerResponse,
  ): void {
    if (request.method === 'POST') {
      this.#create(path, body as StoredObject, response);
      return;
    }
    const old = this.objects.get(path);
    if (old === undefined) {
      refuse(response, 404, 'NotFound');
      return;
    }
    if (Array.isArray(body)) {
      this.#jsonPatch(path, old, body, response);
      return;
    }
    const { resourceVersion } = body.metadata;
    if (resourceVersion !== undefined && resourceVersion !== old.metadata.resourceVersion) {
      refuse(response, 409, 'Conflict');
      return;
    }
    const next = request.method === 'PUT' ? body : (merged(old, body) as StoredObject);
    answer(response, 200, this.write(path, next));
  }

  #create(path: string, body: StoredObject, response: ServerResponse): void {
    const key = `${path}/${body.metadata.name}`;
    if (this.objects.has(key)) refuse(response, 409, 'AlreadyExists');
    else answer(response, 201, this.write(key, body));
  }

  /** `test` of the version and `add` of a caBundle, which is all that the injector sends. */
  #jsonPatch(
    path: string,
    old: StoredObject,
    operations: readonly Record<string, unknown>[],
    response: ServerResponse,
  ): void {
    const next = structuredClone(old);
    for (const { op, path: place, value } of operations) {
      if (op === 'test') {
        if (old.metadata.resourceVersion !== value) {
          refuse(response, 422, 'Invalid');
          return;
        }
        continue;
      }
      const index = Number(/^\/webhooks\/(\d+)\/clientConfig\/caBundle$/.exec(String(place))?.[1]);
      const webhook = (next.webhooks as { clientConfig: { caBundle?: unknown } }[])[index];
      webhook!.clientConfig.caBundle = value;
    }
    answer(response, 200, this.write(path, next));
  }
}

/** RFC 7396. */
function merged(old: unknown, patch: unknown): unknown {
  if (typeof patch !== 'object' || patch === null || Array.isArray(patch)) return patch;
  const next: Record<string, unknown> = { ...(old as object) };
  for (const [key, value] of Object.entries(patch)) {
    if (value === null) delete next[key];
    else next[key] = merged(next[key], value);
  }
  return next;
}

function answer(response: ServerResponse, status: number, value: unknown): void {
  response.writeHead(status, { 'content-type': 'application/json' });
  response.end(JSON.stringify(value));
}

function refuse(response: ServerResponse, code: number, reason: string): void {
  answer(response, code, { kind: 'Status', code, reason, message: reason });
}

/** A MutatingWebhookConfiguration with two webhooks and nothing published. */
export function configurationOf(annotations: Record<string, string> = {}): StoredObject {
  const clientConfig = { service: { name: 'tracecar-injector', namespace: 'tracecar-system' } };
  return {
    metadata: { name: 'tracecar-injector', annotations },
    webhooks: [
      { name: 'pods.inject.tracecar.dev', clientConfig: { ...clientConfig } },
      { name: 'namespaces.inject.tracecar.dev', clientConfig: { ...clientConfig } },
    ],
  };
}

/** The bundles that are published, as text. */
export function bundlesOf(configuration: StoredObject | undefined): string[] {
  const webhooks = configuration?.webhooks as { clientConfig: { caBundle?: string } }[];
  return webhooks.map(({ clientConfig }) =>
    Buffer.from(clientConfig.caBundle ?? '', 'base64').toString('utf8'),
  );
}
