/**
 * Classes of bytes, as tables of 256: what may stand where in a head.
 *
 * Tables are read once per byte of every message; nothing else in this room decides what a byte may
 * be. Sources: RFC 9110 sections 5.5 and 5.6.2, RFC 9112 section 3.2, RFC 3986 section 3.3.
 */

export const CR = 0x0d;
export const LF = 0x0a;
export const SP = 0x20;
export const HTAB = 0x09;
export const COLON = 0x3a;
export const SLASH = 0x2f;
export const DOT = 0x2e;

/** What a byte does inside a request target. */
export const TargetByte = {
  Refused: 0,
  Plain: 1,
  SlashOrDot: 2,
  Percent: 3,
  QuestionMark: 4,
} as const;

/** 1 for token bytes: methods, field names, chunk extension names. */
export const isToken: Uint8Array = tableOf((byte) => {
  const text = String.fromCharCode(byte);
  return byte < 0x80 && (isAlphanumeric(byte) || "!#$%&'*+-.^_`|~".includes(text)) ? 1 : 0;
});

/** 1 for bytes of a field value: HTAB, SP, visible ASCII and obs-text. */
export const isValue: Uint8Array = tableOf((byte) =>
  byte === HTAB || (byte >= 0x20 && byte !== 0x7f) ? 1 : 0,
);

/** `TargetByte` inside a path. A raw backslash is refused: some servers read it as a slash. */
export const pathByte: Uint8Array = tableOf((byte) => {
  if (byte === SLASH || byte === DOT) return TargetByte.SlashOrDot;
  if (byte === 0x25) return TargetByte.Percent;
  if (byte === 0x3f) return TargetByte.QuestionMark;
  const isPlain = byte > 0x20 && byte < 0x7f && byte !== 0x23 && byte !== 0x5c;
  return isPlain ? TargetByte.Plain : TargetByte.Refused;
});

/** 1 for bytes that a query, or a target in another form, may contain: visible ASCII without `#`. */
export const isQuery: Uint8Array = tableOf((byte) =>
  byte > 0x20 && byte < 0x7f && byte !== 0x23 ? 1 : 0,
);

/** 1 for bytes of a host name: letters, digits, `-`, `.` and `_` (container names use it). */
export const isHostname: Uint8Array = tableOf((byte) =>
  isAlphanumeric(byte) || byte === 0x2d || byte === DOT || byte === 0x5f ? 1 : 0,
);

/** Value of a hexadecimal digit, 255 for any other byte. */
export const hexValue: Uint8Array = tableOf((byte) => {
  if (byte >= 0x30 && byte <= 0x39) return byte - 0x30;
  const letter = byte | 0x20;
  return letter >= 0x61 && letter <= 0x66 ? letter - 0x61 + 10 : 255;
});

function isAlphanumeric(byte: number): boolean {
  const letter = byte | 0x20;
  return (byte >= 0x30 && byte <= 0x39) || (byte < 0x80 && letter >= 0x61 && letter <= 0x7a);
}

function tableOf(classOf: (byte: number) => number): Uint8Array {
  return Uint8Array.from({ length: 256 }, (_, byte) => classOf(byte));
}
