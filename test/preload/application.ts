/**
 * Starts a fixture application with the preload and sends requests to it, each with trace headers
 * of its own; says of each outbound request whether it carried them.
 *
 * The verdict compares with what the upstream received: right, missing (none of ours), wrong
 * (somebody else's), or failed (the application's request did not succeed).
 */

import { type ChildProcess, spawn } from 'node:child_process';
import { existsSync } from 'node:fs';
import { join } from 'node:path';
import type { EchoUpstream } from './echo-upstream.ts';

export const preloadPath = join(
  import.meta.dirname,
  '../../injector/preload/tracecar-propagate.cjs',
);
export const ownTraceparent = `00-${'f'.repeat(32)}-${'e'.repeat(16)}-01`;

export type LoadFlag = '--require' | '--import' | 'none';

export interface Application {
  readonly ports: Readonly<Record<string, number>>;
  readonly paths: readonly string[];
  readonly unloadable: readonly string[];
  readonly node: string;
  /** All that it wrote to stdout and stderr so far. */
  output(): string;
  readonly process: ChildProcess;
  stop(): Promise<void>;
}

export interface StartOptions {
  readonly node: string;
  readonly flag: LoadFlag;
  readonly upstream: EchoUpstream;
  readonly env?: Readonly<Record<string, string>>;
  readonly file?: string;
  readonly nodeFlags?: readonly string[];
}

/**
 * The Nodes to run applications on: this one, the system's when it is another, and those that the
 * environment names (TRACECAR_TEST_NODES, separated by colons), for a wider table.
 */
export function applicationNodes(): readonly string[] {
  const system = ['/usr/local/bin/node', '/usr/bin/node'].filter((path) => existsSync(path));
  const named = (process.env.TRACECAR_TEST_NODES ?? '').split(':').filter((path) => path !== '');
  return [process.execPath, ...system.slice(0, 1), ...named];
}

/** Starts a fixture application (apps/application.cjs by default); waits until it listens. */
export async function startApplication(options: StartOptions): Promise<Application> {
  const file = options.file ?? join(import.meta.dirname, 'apps/application.cjs');
  const flags = options.flag === 'none' ? [] : [`${options.flag}=${preloadPath}`];
  const child = spawn(options.node, [...(options.nodeFlags ?? []), ...flags, file], {
    stdio: ['ignore', 'pipe', 'pipe', 'ipc'],
    // No application outlives a test that hangs.
    timeout: 240_000,
    env: {
      PATH: process.env.PATH,
      UPSTREAM_HTTP: String(options.upstream.port),
      UPSTREAM_HTTPS: String(options.upstream.tlsPort),
      UPSTREAM_HTTP2: String(options.upstream.http2Port),
      UPSTREAM_HTTP2_TLS: String(options.upstream.http2TlsPort),
      UPSTREAM_GRPC: String(options.upstream.grpcPort),
      UPSTREAM_GRPC_TLS: String(options.upstream.grpcTlsPort),
      OWN_TRACEPARENT: ownTraceparent,
      TRACECAR_PROPAGATE_HEADERS: 'x-lane',
      ...options.env,
    },
  });
  let output = '';
  for (const stream of [child.stdout!, child.stderr!]) {
    stream.setEncoding('utf8').on('data', (text: string) => {
      output += text;
    });
  }
  const ended = new Promise<void>((resolve) => child.once('close', () => resolve()));
  const ready = await new Promise<Omit<Application, 'output' | 'process' | 'stop'>>(
    (resolve, reject) => {
      child.once('message', (message) => resolve(message as Application));
      child.once('close', () => reject(new Error(`the application ended:\n${output}`)));
    },
  );
  const stop = () => {
    child.kill('SIGKILL');
    return ended;
  };
  return { ...ready, output: () => output, process: child, stop };
}

/** The headers of one inbound request; no two requests share a value. */
export function traceHeaders(number: number): Record<string, string> {
  const id = (number + 1).toString(16);
  const trace = id.padStart(32, '4bf92f3577b34da6a3ce929d0e0e4736');
  const span = id.padStart(16, '00f067aa0ba902b7');
  return {
    traceparent: `00-${trace}-${span}-01`,
    tracestate: `ot=th:0,tracecar=${span}`,
    baggage: `user=${id}`,
    b3: `${trace}-${span}-1`,
    'x-request-id': `request-${id}`,
    'x-lane': `lane-${id}`,
  };
}

export type Seen = Readonly<Record<string, string | undefined>>;

export type Verdict = 'right' | 'missing' | 'wrong' | 'failed';

/** What the upstream must have received when all of `sent` was copied. */
export function judge(seen: Seen, sent: Readonly<Record<string, string>>): Verdict {
  if (seen.failed !== undefined) return 'failed';
  if (seen.traceparent === undefined) return 'missing';
  const isWhole = Object.keys(sent).every((name) => seen[name] === sent[name]);
  return isWhole && seen['x-tracecar-join'] === 'preload' ? 'right' : 'wrong';
}
