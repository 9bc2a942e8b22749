/**
 * The API server, seen from this process: single requests and watches over HTTPS, as administrator.
 *
 * It serves the harness only. The product's own client is src/kube, and a test that used it to judge
 * itself would prove little.
 */

import { readFileSync } from 'node:fs';
import { Agent, request } from 'node:https';
import { setTimeout as wait } from 'node:timers/promises';
import type { KubernetesObject } from './objects.ts';
import type { Place } from './place.ts';

interface Answer {
  readonly status: number;
  readonly text: string;
}

export class ApiServer {
  private readonly port: number;
  private readonly agent: Agent;

  /** `port` is the one on this machine's loopback that leads to it. */
  constructor(place: Place, port: number) {
    this.port = port;
    this.agent = new Agent({
      keepAlive: true,
      ca: readFileSync(place.path('ca.crt')),
      cert: readFileSync(place.path('admin.crt')),
      key: readFileSync(place.path('admin.key')),
    });
  }

  /** The object at `path`, or undefined when there is none. */
  async get(path: string): Promise<KubernetesObject | undefined> {
    const { status, text } = await this.ask(path);
    if (status === 404) return undefined;
    if (status !== 200) throw new Error(`GET ${path}: ${status} ${text.slice(0, 500)}`);
    return JSON.parse(text) as KubernetesObject;
  }

  /** Waits until it answers /readyz; throws after `timeoutMs`. Start-up has no event to wait for. */
  async ready(timeoutMs: number): Promise<void> {
    const deadline = performance.now() + timeoutMs;
    let last = '';
    while (performance.now() < deadline) {
      try {
        const { status, text } = await this.ask('/readyz');
        if (status === 200) return;
        last = `${status} ${text}`;
      } catch (error) {
        last = (error as Error).message;
      }
      await wait(25);
    }
    throw new Error(`the API server is not ready after ${timeoutMs} ms: ${last}`);
  }

  /** See Cluster.waitFor. `holds` may throw to give up. */
  async waitFor(
    path: string,
    holds: (object: KubernetesObject | undefined) => boolean,
    timeoutMs: number,
  ): Promise<KubernetesObject | undefined> {
    const giveUp = AbortSignal.timeout(timeoutMs);
    let last: KubernetesObject | undefined;
    while (!giveUp.aborted) {
      // Without a resourceVersion a watch begins with the object as it is now; but it says nothing
      // of one that is not there, so that is asked first.
      last = await this.get(path);
      if (holds(last)) return last;
      const found = await this.watch(path, last?.metadata.resourceVersion, giveUp, (object) => {
        last = object;
        return holds(object);
      });
      if (found) return last;
    }
    const state = last === undefined ? 'it is not there' : JSON.stringify(last.status ?? last);
    throw new Error(`${path}: not as awaited after ${timeoutMs} ms; last seen: ${state}`);
  }

  close(): void {
    this.agent.destroy();
  }

  /** True when `isLast` was true of a state; false when the watch ended before. */
  private watch(
    path: string,
    resourceVersion: string | undefined,
    signal: AbortSignal,
    isLast: (object: KubernetesObject | undefined) => boolean,
  ): Promise<boolean> {
    const cut = path.lastIndexOf('/');
    const query = new URLSearchParams({
      watch: '1',
      fieldSelector: `metadata.name=${path.slice(cut + 1)}`,
      ...(resourceVersion === undefined ? {} : { resourceVersion }),
    });
    return new Promise((done, failed) => {
      const sent = request(
        { ...this.target(`${path.slice(0, cut)}?${query}`), signal },
        (response) => {
          let held = '';
          response.setEncoding('utf8');
          response.on('data', (chunk: string) => {
            const lines = (held + chunk).split('\n');
            held = lines.pop()!;
            try {
              for (const line of lines) {
                const { type, object } = JSON.parse(line) as Event;
                // ERROR: the version is too old; the caller begins anew. A Status is no event.
                if (type === undefined || type === 'ERROR') return void sent.destroy();
                if (type === 'BOOKMARK') continue;
                if (!isLast(type === 'DELETED' ? undefined : object)) continue;
                done(true);
                return void sent.destroy();
              }
            } catch (error) {
              failed(error);
              sent.destroy();
            }
          });
          response.on('close', () => done(false));
          response.on('error', () => done(false));
        },
      );
      sent.on('error', () => done(false));
      sent.on('close', () => done(false));
      sent.end();
    });
  }

  private ask(path: string): Promise<Answer> {
    return new Promise((done, failed) => {
      const sent = request({ ...this.target(path), timeout: 5_000 }, (response) => {
        let text = '';
        response.setEncoding('utf8');
        response.on('data', (chunk: string) => {
          text += chunk;
        });
        response.on('end', () => done({ status: response.statusCode ?? 0, text }));
        response.on('error', failed);
      });
      sent.on('timeout', () => sent.destroy(new Error('no answer in 5 s')));
      sent.on('error', failed);
      sent.end();
    });
  }

  private target(path: string) {
    return { host: '127.0.0.1', port: this.port, path, agent: this.agent };
  }
}

interface Event {
  readonly type?: 'ADDED' | 'MODIFIED' | 'DELETED' | 'BOOKMARK' | 'ERROR';
  readonly object: KubernetesObject;
}
