/**
 * What the authority counts, as a page for Prometheus.
 *
 * Refusals are by cause, a word of a closed list of ours; no label has a name that a caller chose.
 */

import type { AuthorityMaterial } from '../identity/authority-state.ts';
import { MetricText, printLabels, type TextFormat } from '../telemetry/metrics/metric-text.ts';

export class CaMetrics {
  leaves = 0;
  /** Changes of what is signed with that could not be taken. */
  troubles = 0;
  readonly #refusals = new Map<string, number>();

  countRefusal(cause: string): void {
    this.#refusals.set(cause, (this.#refusals.get(cause) ?? 0) + 1);
  }

  /** @param sidecars whose leaf is still good */
  render(
    format: TextFormat,
    material: AuthorityMaterial | undefined,
    sidecars: number,
    nowMs: number,
  ): string {
    const text = new MetricText(format);
    text.family('tracecar_ca_certificates_total', 'counter', 'Certificates signed for sidecars.');
    text.sample('tracecar_ca_certificates_total', '', this.leaves);
    text.family('tracecar_ca_refused_total', 'counter', 'Requests refused, by cause.');
    for (const [cause, count] of this.#refusals) {
      text.sample('tracecar_ca_refused_total', printLabels([['cause', cause]]), count);
    }
    text.family(
      'tracecar_ca_troubles_total',
      'counter',
      'State, issuer files and reports that could not be read or written.',
    );
    text.sample('tracecar_ca_troubles_total', '', this.troubles);
    text.family('tracecar_ca_sidecars', 'gauge', 'Sidecars whose last certificate is still good.');
    text.sample('tracecar_ca_sidecars', '', sidecars);
    if (material !== undefined) {
      const left = (ms: number) => Math.round((ms - nowMs) / 1_000);
      const name = 'tracecar_ca_cert_seconds_left';
      text.family(name, 'gauge', 'Until a certificate of the authority ends; negative: it has.');
      text.sample(name, printLabels([['which', 'root']]), left(material.rootNotAfterMs));
      text.sample(name, printLabels([['which', 'issuer']]), left(material.signer.notAfterMs));
    }
    text.end();
    return text.take();
  }
}
