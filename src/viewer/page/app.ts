/**
 * The web page of `tracecar view`: which address shows what, the bar above it, and the keys.
 *
 *    /                 search             /compare/A/B   two traces side by side
 *    /trace/ID?span=   waterfall          /ab/ROUTE      subsets of a route against each other
 *    /graph            who calls whom
 */

import { AbView } from './ab-view.ts';
import { compareMark, markedTrace, onMark } from './compare-mark.ts';
import { CompareView } from './compare-view.ts';
import { el, fill, link } from './dom.ts';
import { GraphView } from './graph-view.ts';
import { keyHelp } from './key-help.ts';
import { SearchView } from './search-view.ts';
import { applyTheme, switchTheme } from './theme.ts';
import { TraceView } from './trace-view.ts';
import { addressPart, navigate, onNavigate, type View } from './view.ts';

let view: View | undefined;
const bar = el('header', 'bar');
const place = el('div', 'place');

function viewOf(pathname: string, parameters: URLSearchParams): View {
  const parts = pathname.split('/').slice(1).map(decode);
  switch (parts[0]) {
    case 'trace':
      return new TraceView(parts[1] ?? '', parameters);
    case 'compare':
      return new CompareView(parts[1] ?? '', parts[2] ?? '');
    case 'ab':
      return new AbView(parts[1] ?? '', parameters);
    case 'graph':
      return new GraphView(parameters);
    default:
      return new SearchView(parameters);
  }
}

function decode(part: string): string {
  try {
    return decodeURIComponent(part);
  } catch {
    return part;
  }
}

function show(): void {
  view?.close?.();
  view = viewOf(location.pathname, new URLSearchParams(location.search));
  document.title = `${view.title} - tracecar`;
  drawBar();
  fill(place, view.element);
  view.opened?.();
}

function drawBar(): void {
  const marked = markedTrace();
  const at = location.pathname;
  const tab = (href: string, text: string): HTMLElement =>
    link(
      href,
      {
        class: 'tab',
        'aria-current': isAt(at, href) ? 'page' : undefined,
      },
      text,
    );
  fill(
    bar,
    link('/', { class: 'brand', title: 'tracecar' }, logo(), el('span', '', 'tracecar')),
    el('nav', 'tabs', tab('/', 'Traces'), tab('/ab', 'A/B'), tab('/graph', 'Graph')),
    marked !== '' &&
      el(
        'span',
        'marked',
        'comparing ',
        link(`/trace/${marked}`, '', el('code', '', marked.slice(0, 8))),
        el('span', '', ' with the next one you mark'),
        el(
          'button',
          { class: 'icon', title: 'forget it', onclick: () => compareMark(marked) },
          '✕',
        ),
      ),
    el('span', 'grow'),
    el('input', {
      class: 'jump',
      type: 'search',
      placeholder: 'trace id',
      'aria-label': 'go to a trace by its id',
      onkeydown: jump,
    }),
    el('button', { class: 'icon', title: 'dark or light (.)', onclick: switchTheme }, '◐'),
    el('button', { class: 'icon', title: 'keys (?)', onclick: () => keyHelp() }, '?'),
  );
}

function isAt(pathname: string, href: string): boolean {
  if (href !== '/') return pathname.startsWith(href);
  return pathname === '/' || pathname.startsWith('/trace') || pathname.startsWith('/compare');
}

function logo(): HTMLElement {
  return el('span', 'logo', el('i'), el('i'), el('i'));
}

function jump(event: KeyboardEvent): void {
  const { value } = event.target as HTMLInputElement;
  if (event.key === 'Enter' && value.trim() !== '') navigate(`/trace/${addressPart(value.trim())}`);
}

/** Links of this page are followed here; with a modifier, or elsewhere, by the browser. */
function follow(event: MouseEvent): void {
  if (event.button !== 0 || event.metaKey || event.ctrlKey || event.shiftKey) return;
  const anchor = (event.target as Element).closest('a');
  const href = anchor?.getAttribute('href') ?? '';
  if (!href.startsWith('/') || href.startsWith('/api/') || anchor?.target === '_blank') return;
  event.preventDefault();
  navigate(href);
}

function press(event: KeyboardEvent): void {
  if (event.metaKey || event.ctrlKey || event.altKey) return;
  const target = event.target as HTMLElement;
  const isTyping = target.matches('input, select, textarea');
  if (isTyping) {
    if (event.key === 'Escape') target.blur();
    return;
  }
  if (document.querySelector('dialog[open]') !== null) return;
  // A button that has the focus is pressed by Enter: that is its own.
  if (event.key === 'Enter' && target.matches('button, a')) return;
  if (view?.onKey?.(event.key) === true || pressAnywhere(event.key)) event.preventDefault();
}

function pressAnywhere(key: string): boolean {
  if (key === '?') keyHelp();
  else if (key === '.') switchTheme();
  else if (key === 'g') navigate('/graph');
  else if (key === 'a') navigate('/ab');
  else if (key === 't') navigate('/');
  else return false;
  return true;
}

applyTheme();
document.body.append(bar, place);
document.addEventListener('click', follow);
document.addEventListener('keydown', press);
onNavigate(show);
onMark(drawBar);
show();
