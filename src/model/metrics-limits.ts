/** Limits of the page of merged metrics, with their reasons; units come last in a name. */

export interface AppMetricsLimits {
  /** Of the application's page: more is held for nobody. Go's client writes 200 bytes a series. */
  readonly pageBytesMax: number;
  /** Of one line of it, in characters. */
  readonly lineLengthMax: number;
  /** The longest wait for it. */
  readonly askTimeoutMs: number;
  /** Of what the scraper says that it waits: the rest is for our own page. */
  readonly patienceShare: number;
  /** Characters that are sent at a time; requests have their turn in between. */
  readonly partLength: number;
}

export const appMetricsLimits: AppMetricsLimits = Object.freeze({
  pageBytesMax: 16 * 1024 * 1024,
  lineLengthMax: 64 * 1024,
  askTimeoutMs: 8_000,
  patienceShare: 0.75,
  partLength: 64 * 1024,
});
