/**
 * Traces as a table, one row each: when, what, who took part, how it ended and how long it took.
 */

import { printDuration } from '../time-bar.ts';
import type { TraceSummary } from '../view-answers.ts';
import { compareMark, markedTrace } from './compare-mark.ts';
import { el, link } from './dom.ts';
import { counted, printAgo, printClock } from './format.ts';
import { colorServices } from './service-color.ts';
import { navigate } from './view.ts';

const chipsMax = 5;

/** `selected`: index of the chosen row, -1 for none. */
export function traceTable(traces: readonly TraceSummary[], selected: number): HTMLElement {
  const colors = colorServices(
    traces.flatMap(({ services }) => services.map(({ service }) => service)),
  );
  const longest = Math.max(1, ...traces.map(({ durationUs }) => durationUs));
  const marked = markedTrace();
  return el(
    'table',
    'traces trace-list',
    el(
      'thead',
      '',
      el(
        'tr',
        '',
        el('th', 'started-cell', 'started'),
        el('th', 'what', 'trace'),
        el('th', '', 'services'),
        el('th', 'number spans-cell', 'spans'),
        el('th', 'result-cell', 'result'),
        el('th', 'number took-cell', 'took'),
        el('th', 'length-cell'),
        el('th', 'mark-cell'),
      ),
    ),
    el(
      'tbody',
      '',
      traces.map((trace, index) =>
        traceRow(trace, index === selected, trace.id === marked, longest, colors),
      ),
    ),
  );
}

function traceRow(
  trace: TraceSummary,
  isSelected: boolean,
  isMarked: boolean,
  longest: number,
  colors: ReadonlyMap<string, string>,
): HTMLElement {
  const { id, service, name, startUs, durationUs, spans, errors, services, hasRoot } = trace;
  const length = el('i', `length${errors > 0 ? ' bad' : ''}`);
  length.style.width = `${Math.max(0.5, (durationUs / longest) * 100)}%`;
  // The first one is that of the root; the others stand the same in every row.
  const rank = (name: string): string => (name === service ? '' : name);
  const chips = [...services]
    .sort((one, other) => (rank(one.service) < rank(other.service) ? -1 : 1))
    .slice(0, chipsMax)
    .map((each) =>
      el(
        'span',
        { class: `chip ${colors.get(each.service) ?? ''}`, title: counted(each.spans, 'span') },
        el('i', 'dot'),
        each.service,
      ),
    );
  return el(
    'tr',
    {
      class: `trace-row${isSelected ? ' selected' : ''}${errors > 0 ? ' bad' : ''}`,
      onclick: (event: MouseEvent) => {
        if ((event.target as Element).closest('a, button') === null) navigate(`/trace/${id}`);
      },
    },
    el('td', { class: 'started nowrap', title: printAgo(startUs) }, printClock(startUs)),
    el(
      'td',
      'what',
      link(`/trace/${id}`, '', el('b', '', service), ` ${name}`),
      ' ',
      el('code', 'muted', id.slice(0, 8)),
      !hasRoot && el('span', { class: 'muted', title: 'its root has not come (yet)' }, 'no root'),
    ),
    el(
      'td',
      'chips',
      chips.flatMap((chip) => [chip, ' ']),
      services.length > chipsMax && el('span', 'muted', `+${services.length - chipsMax}`),
    ),
    el('td', 'number spans', spans.toLocaleString('en')),
    el(
      'td',
      'result nowrap',
      errors > 0
        ? el('span', 'pill pill-bad', counted(errors, 'error'))
        : el('span', 'muted', 'ok'),
    ),
    el('td', 'number took nowrap', printDuration(durationUs * 1000, false)),
    el('td', 'length-cell', length),
    el(
      'td',
      'mark-cell',
      el(
        'button',
        {
          type: 'button',
          'data-key': `compare ${id}`,
          class: `mark${isMarked ? ' marked' : ''}`,
          title: 'compare this trace with another one (c)',
          onclick: () => compareMark(id),
        },
        isMarked ? 'marked' : 'compare',
      ),
    ),
  );
}
