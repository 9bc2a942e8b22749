/**
 * Assertions: a broken one is our bug, never an input's fault.
 *
 * In tests it fails the test; in production the connection that met it ends, is counted and logged
 * (the catch sits at the edge of `proxy`). Expected failures are `model/failure.ts` instead.
 */

/** Thrown by `assert`; anything else that is thrown is treated as a bug too, but says less. */
export class AssertionFailure extends Error {
  override readonly name = 'AssertionFailure';
}

/** Throws AssertionFailure with `message` unless `condition` holds. */
export function assert(condition: boolean, message: string): asserts condition {
  if (!condition) throw new AssertionFailure(message);
}
