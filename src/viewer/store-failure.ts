/**
 * The file of a store cannot be had or is damaged; the message says which, why and what to do, in one
 * line. Apart from sqlite-bodies.ts, so that a viewer in memory does not load SQLite for it.
 */

export class StoreFailure extends Error {
  override readonly name = 'StoreFailure';
}
