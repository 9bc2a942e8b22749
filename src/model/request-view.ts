/**
 * What routing may ask of a request head, however it was parsed or imagined.
 *
 * `wire` implements it over the bytes of a head, `tracecar explain` and tests over plain values.
 * Nothing here decides; an absent field is undefined, never an empty string.
 */

export interface RequestView {
  /** As sent, upper-case by the strict parser: `GET`. */
  readonly method: string;
  /** Host for routing: lower-case, one trailing dot and the port cut. */
  readonly hostname: string;
  /** Path without query, normalised: what is authorised is what is forwarded. */
  readonly path: string;
  /** Text after `?`, or undefined when there is none. */
  readonly query: string | undefined;
  /** Value of a field by lower-case name; repeated fields joined with `,`; undefined if absent. */
  field(name: string): string | undefined;
}
