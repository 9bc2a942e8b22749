/**
 * Text from outside, made fit for one line on a terminal, with nothing lost.
 *
 * Used for what people read as text: diagnostics, problems on stderr, the log of a terminal. JSON has
 * escapes of its own, and the viewer, which counts columns, has `terminal-text.ts`.
 */

/**
 * Control and formatting characters as `\\x1b` or `\\u202e`: whatever somebody typed, or wrote into a
 * file or its name, must not steer a terminal, break a line or turn the order of the text round.
 */
export function printable(text: string): string {
  return text.replace(/[\p{Cc}\p{Cf}\p{Zl}\p{Zp}]/gu, (each) => {
    const code = each.codePointAt(0)!;
    if (code < 0x100) return `\\x${code.toString(16).padStart(2, '0')}`;
    return code < 0x1_0000
      ? `\\u${code.toString(16).padStart(4, '0')}`
      : `\\u{${code.toString(16)}}`;
  });
}
