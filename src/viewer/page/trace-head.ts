/**
 * What a trace is, above its waterfall: in a line, in figures, and what its colors mean.
 */

import { skewWords } from '../skew-words.ts';
import { findRoot } from '../span-tree.ts';
import { printDuration } from '../time-bar.ts';
import type { TraceLayout } from '../trace-layout.ts';
import { compareMark } from './compare-mark.ts';
import { el } from './dom.ts';
import { counted, printAgo, printDateTime, printLabel } from './format.ts';

/** Made anew for each layout; `colors` are classes by service. */
export function traceHead(layout: TraceLayout, colors: ReadonlyMap<string, string>): HTMLElement {
  const { rows, services, errors, tookNs, totalNs, traceId, proxyNs, gapNs } = layout;
  const root = findRoot(rows) ?? rows[0]!;
  const startUs = Number(layout.startNs / 1000n);
  const orphans = rows.filter(({ isOrphan }) => isOrphan).length;
  const circles = rows.filter(({ isCircular }) => isCircular).length;
  const skew = skewWords(rows, layout.skew, false);
  const [took, spread] = [tookNs, totalNs].map((ns) => printDuration(ns, false));
  const measured = rows.some((row) => row.proxyNs !== undefined);
  const fact = (name: string, value: string, title = ''): HTMLElement =>
    el(
      'div',
      { class: 'fact', title },
      el('span', 'fact-name', name),
      ' ',
      el('span', 'fact-value', value),
    );
  return el(
    'header',
    'trace-head',
    el(
      'div',
      'trace-title',
      el('h1', '', el('b', '', root.span.service), ` ${printLabel(root.span)}`),
      errors > 0 && el('span', 'pill pill-bad', counted(errors, 'error')),
      el('span', 'grow'),
      el(
        'button',
        {
          type: 'button',
          title: 'compare with another trace (c)',
          onclick: () => compareMark(traceId),
        },
        'Compare…',
      ),
      el('a', { class: 'button', href: `/api/v3/traces/${traceId}`, target: '_blank' }, 'JSON'),
    ),
    el(
      'div',
      'facts',
      fact('took', took!),
      took !== spread && fact('spread', spread!, 'from the first start to the last end'),
      skew !== '' && fact('clocks differ', printDuration(layout.skew!.ns, false), skew),
      fact('spans', rows.length.toLocaleString('en')),
      fact('services', String(services.length)),
      fact('started', printDateTime(startUs), printAgo(startUs)),
      measured && fact('sidecars', printDuration(proxyNs, false), 'own time of all sidecars'),
      gapNs > 0 && fact('network', printDuration(gapNs, false), 'calls minus what callees took'),
      orphans > 0 &&
        fact('without parent', String(orphans), 'not exported, not sampled, or not here'),
      circles > 0 && fact('in circles', String(circles), 'their parents lead back to themselves'),
      fact('trace', traceId),
    ),
    el(
      'div',
      'legend',
      services
        .slice(0, 12)
        .map((service) => el('span', colors.get(service) ?? '', el('i', 'dot'), service)),
      services.length > 12 && el('span', 'muted', `and ${services.length - 12} more`),
      el('span', 'grow'),
      errors > 0 && el('span', 'muted', el('i', 'key-began'), 'where an error began'),
      el('span', 'muted', el('i', 'key-path'), 'critical path'),
      el('span', 'muted', el('i', 'key-gap'), 'network'),
    ),
  );
}
