/**
 * The limits that the readers take, as their own types: this room imports none but `base`.
 *
 * Values, defaults and reasons are in model/limits.ts; its TrafficLimits has all of these.
 */

export interface HeadLimits {
  readonly headBytesMax: number;
  readonly headFieldsMax: number;
  readonly fieldNameBytesMax: number;
  readonly connectionBytesMax: number;
  readonly targetBytesMax: number;
}

export interface BodyLimits {
  readonly chunkExtensionBytesMax: number;
  readonly messageExtensionBytesMax: number;
  readonly trailerBytesMax: number;
  readonly trailerFieldsMax: number;
  readonly fieldNameBytesMax: number;
}
