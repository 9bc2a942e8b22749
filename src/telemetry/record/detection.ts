/**
 * What a connection speaks as far as we know, and how we know: small numbers for records, words for
 * people.
 *
 * A closed list: the label values of `tracecar_detections_total` are these words, and a record of a
 * connection carries their numbers. Upgraded connections were HTTP first: they are named, not detected.
 */

export const Detected = {
  Unknown: 0,
  Http1: 1,
  Http2: 2,
  Tls: 3,
  /** The server spoke first. */
  ServerFirst: 4,
  /** Ended before a byte came from either side. */
  Silent: 5,
  /** The downstream spoke first, none of the above. */
  Other: 6,
  /** After a 101 to `Upgrade: websocket`, and to any other token. */
  WebSocket: 7,
  Upgraded: 8,
} as const;

/** By `Detected`. */
export const detectedWords: readonly string[] = [
  'unknown',
  'http1',
  'http2',
  'tls',
  'server-first',
  'silent',
  'other',
  'websocket',
  'upgraded',
];

/** `Declared`: configuration or the port's number says it; `Remembered`: earlier connections did. */
export const DetectedBy = { None: 0, Declared: 1, Sniffed: 2, Remembered: 3 } as const;

/** By `DetectedBy`. */
export const detectedByWords: readonly string[] = ['', 'declared', 'sniffed', 'remembered'];

/** Place of a verdict in an array of `DETECTION_PLACES` counts. */
export function detectionPlace(detected: number, by: number): number {
  return detected * detectedByWords.length + by;
}

export const DETECTION_PLACES = detectedWords.length * detectedByWords.length;
