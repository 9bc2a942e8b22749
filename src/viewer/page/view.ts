/**
 * What a page of this page is, and how one leads to another.
 *
 * A view owns its element from `open` to `close`; it draws at once what it knows and the rest when
 * it has come. `navigate` changes the address first: every state that matters is in it, so reload,
 * back and a copied link show the same.
 */

export interface View {
  readonly title: string;
  readonly element: HTMLElement;
  /** Whether it took the key: `j`, `Enter`, `Escape`... Never called while a field has the focus. */
  onKey?(key: string): boolean;
  /** The element is in the document now. */
  opened?(): void;
  close?(): void;
}

/** A text as a part of an address: half a surrogate pair, which no address can have, is replaced. */
export function addressPart(text: string): string {
  return encodeURIComponent(text.toWellFormed());
}

const changed = 'tracecar:navigate';

/** Goes to an address of this page: `/trace/ID?span=ID`. */
export function navigate(to: string): void {
  history.pushState(null, '', to);
  window.dispatchEvent(new Event(changed));
}

/** Changes the address in place: of the same view, without a step in the history. */
export function rewriteAddress(to: string): void {
  history.replaceState(null, '', to);
}

/** Calls `listener` whenever another address is to be shown. */
export function onNavigate(listener: () => void): void {
  window.addEventListener(changed, listener);
  window.addEventListener('popstate', listener);
}
