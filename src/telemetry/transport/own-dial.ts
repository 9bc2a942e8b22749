/**
 * What the two threads say of the exporter's own connections: the worker asks how to reach a collector,
 * the hot thread, which knows the routes, answers.
 */

/** Where a connection is to go. */
export interface OwnDial {
  /** Of the collector's URL, lower-case; may be an address. */
  readonly hostname: string;
  /** One that the name stands for, as `node:net` prints it. */
  readonly address: string;
  readonly port: number;
  readonly isTls: boolean;
}

/** How it gets there. */
export type OwnAnswer =
  /** As without a sidecar: nothing is known of it. */
  | { readonly way: 'direct' }
  /** By the hot thread, which takes one connection to this socket as one that it has captured. */
  | { readonly way: 'through'; readonly path: string }
  /** Not at all; `why` in a line for a person. */
  | { readonly way: 'denied'; readonly why: string };

/** An export that was not allowed to leave: it may be later, so it is as good as refused. */
export class DeniedDial extends Error {
  /** The SDK's exporter goes by it: one of those that are worth another try. */
  readonly code = 'ECONNREFUSED';
}
