/**
 * The resource of our spans: the application's name, and who measured.
 */

import { SDK_INFO } from '@opentelemetry/core';

/**
 * `configured` (OTEL_RESOURCE_ATTRIBUTES and OTEL_SERVICE_NAME) beside what the specification asks
 * of an SDK and of a distribution. `service.name` is the application's, never ours.
 */
export function resourceAttributes(
  configured: Readonly<Record<string, string>>,
  version: string,
): Record<string, string> {
  return {
    'telemetry.sdk.name': String(SDK_INFO['telemetry.sdk.name']),
    'telemetry.sdk.language': String(SDK_INFO['telemetry.sdk.language']),
    'telemetry.sdk.version': String(SDK_INFO['telemetry.sdk.version']),
    ...configured,
    'telemetry.distro.name': 'tracecar',
    'telemetry.distro.version': version,
  };
}
