/**
 * One trace as a waterfall, drawn by `tracecar view --trace` as a person would call it.
 */

import { spawn } from 'node:child_process';
import { tracecar } from './command.ts';

/** What the command prints; its complaint when it fails. */
export function drawTrace(viewer: string, traceId: string): Promise<string> {
  const width = Math.min(Math.max(process.stdout.columns ?? 100, 60), 160);
  const args = tracecar('view', '--trace', traceId, '--query', viewer, '--width', String(width));
  const color = process.stdout.isTTY && !process.env.NO_COLOR ? { FORCE_COLOR: '1' } : {};
  return new Promise((settle, reject) => {
    const child = spawn(process.execPath, args, {
      env: { ...process.env, ...color },
      stdio: ['ignore', 'pipe', 'pipe'],
    });
    let text = '';
    for (const stream of [child.stdout, child.stderr]) {
      stream.setEncoding('utf8').on('data', (chunk: string) => {
        text += chunk;
      });
    }
    child.on('error', reject);
    child.on('close', () => settle(text));
  });
}
