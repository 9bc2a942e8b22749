/**
 * Deep freeze: makes a compiled table unchangeable, so that exchanges can share it without care.
 *
 * Regular expressions are left alone: a frozen one leaves V8's fast path, and one without the flags
 * `g` and `y` has no state that matching changes.
 */

/** Freezes `value` and everything in it; returns it. */
export function deepFreeze<T>(value: T): T {
  if (typeof value !== 'object' || value === null || value instanceof RegExp) return value;
  if (Object.isFrozen(value)) return value;
  Object.freeze(value);
  for (const inner of Object.values(value)) deepFreeze(inner);
  return value;
}
