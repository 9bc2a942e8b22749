/**
 * A copy of examples/ab-rollout's YAML on free ports, so that tests and a running demo never meet.
 */

import { mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join, resolve } from 'node:path';
import { freePorts } from '../../bench/stage/free-ports.ts';

const original = resolve(import.meta.dirname, '../../examples/ab-rollout');
/** Applications, sidecars inbound, sidecars outbound. */
const port = /\b(2108[0-3]|2208[0-3]|2308[0-4])\b/g;

/** Writes the copy; `remove` deletes it. */
export async function copyOnFreePorts(): Promise<{ path: string; remove(): void }> {
  const files = readdirSync(original).filter((name) => /\.ya?ml$/.test(name));
  const texts = files.map((name) => readFileSync(join(original, name), 'utf8'));
  const used = [...new Set(texts.flatMap((text) => text.match(port) ?? []))];
  const free = await freePorts(used.length);
  const path = mkdtempSync(join(tmpdir(), 'tracecar-demo-'));
  files.forEach((name, index) => {
    const text = texts[index]!.replace(port, (found) => String(free[used.indexOf(found)]));
    writeFileSync(join(path, name), text);
  });
  return { path, remove: () => rmSync(path, { recursive: true, force: true }) };
}
