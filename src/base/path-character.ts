/**
 * Path characters: which of them stand as themselves in a path that somebody judges, and which as escapes.
 *
 * RFC 3986 lets a segment hold some characters both ways, and most servers take both for the same. Where
 * policies look there is one way: what a segment may hold (section 3.3) stands as itself, all else as an
 * escape. Only `;` may be either, for to some servers `;` ends a segment and `%3B` does not.
 */

/** One character: a letter of a path, of which the escape says the same. */
export function isPlainInPath(character: string): boolean {
  return /^[A-Za-z0-9._~!$&'()*+,:=@-]$/.test(character);
}

/** One character: its escape. */
export function escapeOf(character: string): string {
  return `%${character.charCodeAt(0).toString(16).toUpperCase().padStart(2, '0')}`;
}
