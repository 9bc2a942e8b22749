/**
 * How the demo calls tracecar: from the sources, as a person in this checkout would.
 */

import { resolve } from 'node:path';

const command = resolve(import.meta.dirname, '../../../src/cli/tracecar.ts');

/** Arguments of Node.js for `tracecar ARGS`. */
export function tracecar(...args: readonly string[]): string[] {
  return ['--disable-warning=ExperimentalWarning', command, ...args];
}
