/**
 * Elements made by calls: the only way in which this page makes any.
 *
 * Texts become text nodes, never markup, and lose what would turn a line round or hide a part of it
 * (terminal-text.ts). Sizes and places are set as properties: the page's policy forbids style
 * attributes.
 */

import { safeText } from '../terminal-text.ts';

export type Child = Node | string | number | false | undefined | readonly Child[];

/** `class` and other attributes by name; `onclick` and its like by function; true is present. */
export type Props = Readonly<
  Record<string, string | number | boolean | undefined | ((event: never) => void)>
>;

export function el<K extends keyof HTMLElementTagNameMap>(
  tag: K,
  props: Props | string = {},
  ...children: readonly Child[]
): HTMLElementTagNameMap[K] {
  const element = document.createElement(tag);
  setProps(element, typeof props === 'string' ? { class: props } : props);
  append(element, children, tag === 'pre');
  return element;
}

export function svg<K extends keyof SVGElementTagNameMap>(
  tag: K,
  props: Props = {},
  ...children: readonly Child[]
): SVGElementTagNameMap[K] {
  const element = document.createElementNS('http://www.w3.org/2000/svg', tag);
  setProps(element, props);
  append(element, children, tag === 'title');
  return element;
}

/** Puts `children` in the place of what is there. */
export function fill(element: Element, ...children: readonly Child[]): void {
  element.replaceChildren();
  append(element, children, false);
}

/**
 * Does `redraw`, which makes anew what is in `element`; what had the focus in it gets it again: the
 * one with the same `data-key`, address or text, in the same place among those that have it too.
 */
export function keepFocus(element: Element, redraw: () => void): void {
  const focused = document.activeElement;
  if (focused === null || focused === element || !element.contains(focused)) {
    redraw();
    return;
  }
  const name = nameForFocus(focused);
  const alike = (): Element[] =>
    [...element.querySelectorAll(focused.localName)].filter((each) => nameForFocus(each) === name);
  const place = alike().indexOf(focused);
  redraw();
  if (focused.isConnected) return;
  const found = alike()[place];
  if (found instanceof HTMLElement || found instanceof SVGElement)
    found.focus({ preventScroll: true });
}

function nameForFocus(element: Element): string {
  return (
    element.getAttribute('data-key') ?? element.getAttribute('href') ?? element.textContent ?? ''
  );
}

/** Above what is shown: why it is not newer. */
export function noticeLine(text: string): HTMLElement {
  return el('p', { class: 'notice bad-text', role: 'status' }, text);
}

/** Sets the text of an element, made harmless; nothing is touched when it is the same. */
export function setText(element: Element, text: string): void {
  const safe = safeText(text, false);
  if (element.textContent !== safe) element.textContent = safe;
}

/** A link inside of the page; app.ts follows it without loading anything. */
export function link(href: string, props: Props | string, ...children: readonly Child[]) {
  const given = typeof props === 'string' ? { class: props } : props;
  return el('a', { ...given, href }, ...children);
}

function setProps(element: Element, props: Props): void {
  for (const [name, value] of Object.entries(props)) {
    if (value === undefined || value === false) continue;
    if (typeof value === 'function') {
      element.addEventListener(name.slice(2), value as (event: Event) => void);
    } else {
      element.setAttribute(name, value === true ? '' : safeText(String(value), false));
    }
  }
}

function append(element: Element, children: readonly Child[], isMultiline: boolean): void {
  for (const child of children) {
    if (child === undefined || child === false) continue;
    if (typeof child === 'string' || typeof child === 'number') {
      element.append(safe(String(child), isMultiline));
    } else if (child instanceof Node) {
      element.append(child);
    } else {
      append(element, child, isMultiline);
    }
  }
}

function safe(text: string, isMultiline: boolean): string {
  if (!isMultiline) return safeText(text, false);
  const lines = text
    .split('\n')
    .map((line) => line.split('\t').map((part) => safeText(part, false)));
  return lines.map((parts) => parts.join('\t')).join('\n');
}
