/**
 * Which color a service has: the same on every page where its name hashes to a free one.
 *
 * Ten calm hues are classes in style.css (`s0` to `s9`); a name takes the one it hashes to, and the
 * next free one when another service of the same page has it. Beyond ten services colors repeat.
 */

const colors = 10;

/** Class by service name. */
export function colorServices(services: readonly string[]): ReadonlyMap<string, string> {
  const chosen = new Map<string, string>();
  const taken = new Set<number>();
  for (const service of [...new Set(services)].sort()) {
    let color = hash(service) % colors;
    for (let tries = 0; taken.has(color) && tries < colors; tries++) color = (color + 1) % colors;
    taken.add(color);
    if (taken.size === colors) taken.clear();
    chosen.set(service, `s${color}`);
  }
  return chosen;
}

/** FNV-1a, 32 bits. */
function hash(text: string): number {
  let value = 0x811c9dc5;
  for (let index = 0; index < text.length; index++) {
    value = Math.imul(value ^ text.charCodeAt(index), 0x01000193);
  }
  return value >>> 0;
}
