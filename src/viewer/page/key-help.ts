/**
 * The keys of the page, in a dialog that any key closes.
 */

import { el } from './dom.ts';

const keys: readonly (readonly [string, string])[] = [
  ['j  k', 'next, previous row'],
  ['Enter', 'open the trace or route; open or close what is below a span'],
  ['Esc', 'close the panel, see the whole time, go back'],
  ['/', 'to the search field'],
  ['e', 'next error of a trace'],
  ['c', 'mark a trace; the second one is compared with it'],
  ['t  a  g', 'traces, A/B, service graph'],
  ['.', 'dark or light'],
  ['?', 'these keys'],
];

export function keyHelp(): void {
  const dialog = el(
    'dialog',
    'keys',
    el('h2', '', 'Keys'),
    el(
      'dl',
      '',
      keys.map(([key, says]) => [
        el(
          'dt',
          '',
          key.split('  ').map((each) => el('kbd', '', each)),
        ),
        el('dd', '', says),
      ]),
    ),
    el('p', 'muted', 'Drag over the strip of a trace to zoom in; a double click shows all again.'),
  );
  dialog.addEventListener('keydown', (event) => {
    // The page behind does not hear of it: the key closes this and does nothing else.
    event.stopPropagation();
    dialog.close();
  });
  dialog.addEventListener('click', () => dialog.close());
  dialog.addEventListener('close', () => dialog.remove());
  document.body.append(dialog);
  dialog.showModal();
}
