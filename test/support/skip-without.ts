/**
 * Tests that need what not every machine has: skipped as a whole, and never without a word.
 */

/** What a test's `skip` gets: false, or why `file` cannot run here, which its output has said then. */
export function skipWithout(file: string, reason: string | undefined): string | false {
  if (reason === undefined) return false;
  process.stdout.write(`SKIPPED: ${file}: ${reason}\n`);
  return reason;
}
