/**
 * The gate of a pod: `tracecar init` ends when the sidecar takes connections, not before.
 *
 * It asks the sidecar's health port over loopback, which no rule captures. The sidecar is open only
 * after it has proven the rules, so both wait for each other and the application for both; that it warms
 * up until it is ready is not waited for. What keeps the sidecar is told in its own words.
 */

import type { Clock } from '../../src/base/clock.ts';

const http = process.getBuiltinModule('node:http');

export interface ProxyWait {
  /** The sidecar's health port on this pod's loopback. */
  readonly port: number;
  /** How long to wait, in milliseconds. */
  readonly atMostMs: number;
  readonly clock: Clock;
  /** Told each new reason, once it has lasted for a moment that no healthy start takes. */
  onReason(reason: string): void;
}

/** A start takes a few tenths of a second; asking costs the sidecar a few hundred microseconds. */
const pauseMs = 20;
const quietMs = 3_000;
const answerTimeoutMs = 1_000;

/** Empty once the sidecar takes connections, else one line that says what kept it. Never rejects. */
export async function awaitProxy(wait: ProxyWait): Promise<string> {
  const { clock, atMostMs } = wait;
  const started = clock.now();
  let told = '';
  for (;;) {
    const reason = await whyNotReady(wait.port);
    if (reason === '') return '';
    const waitedMs = clock.now() - started;
    if (waitedMs >= atMostMs) {
      return `the sidecar was not ready within ${atMostMs / 1_000} s: ${reason}`;
    }
    if (waitedMs >= quietMs && reason !== told) {
      told = reason;
      wait.onReason(reason);
    }
    await new Promise((resolve) => setTimeout(resolve, pauseMs));
  }
}

/** One question; the sidecar's reason, or why there is no answer. */
function whyNotReady(port: number): Promise<string> {
  return new Promise((resolve) => {
    const options = { host: '127.0.0.1', port, path: '/healthz/open', agent: false } as const;
    const request = http.get({ ...options, timeout: answerTimeoutMs }, (response) => {
      let text = '';
      response.setEncoding('utf8').on('data', (part: string) => {
        text += part;
      });
      response.on('error', () => resolve('its health port broke an answer off'));
      response.on('end', () => resolve(response.statusCode === 200 ? '' : reasonOf(text)));
    });
    request.on('timeout', () => request.destroy(new Error('no answer')));
    request.on('error', ({ code, message }: NodeJS.ErrnoException) => {
      resolve(
        `its health port ${port} does not answer (${code ?? message}); the log of tracecar-proxy says more`,
      );
    });
  });
}

function reasonOf(text: string): string {
  try {
    const { reason } = JSON.parse(text) as { readonly reason?: unknown };
    return typeof reason === 'string' && reason !== '' ? reason : 'it names no reason';
  } catch {
    return 'it names no reason';
  }
}
