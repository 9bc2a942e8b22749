/**
 * Dark, light, or as the system says: one attribute on the root, which style.css follows.
 */

const key = 'tracecar-theme';
const themes = ['auto', 'light', 'dark'] as const;
type Theme = (typeof themes)[number];

/** Applies what was chosen before. */
export function applyTheme(): void {
  const theme = chosen();
  if (theme === 'auto') delete document.documentElement.dataset.theme;
  else document.documentElement.dataset.theme = theme;
}

/** Chooses the other one of what is seen; what the system says anyway is not remembered. */
export function switchTheme(): void {
  const system = matchMedia('(prefers-color-scheme: dark)').matches ? 'dark' : 'light';
  const seen = chosen() === 'auto' ? system : chosen();
  const next = seen === 'dark' ? 'light' : 'dark';
  if (next === system) localStorage.removeItem(key);
  else localStorage.setItem(key, next);
  applyTheme();
  window.dispatchEvent(new Event(themeChanged));
}

const themeChanged = 'tracecar:theme';

/** Calls `draw` when the theme is another one, for as long as `element` is in the document. */
export function onTheme(element: Element, draw: () => void): void {
  const system = matchMedia('(prefers-color-scheme: dark)');
  const changed = (): void => {
    if (element.isConnected) {
      draw();
      return;
    }
    window.removeEventListener(themeChanged, changed);
    system.removeEventListener('change', changed);
  };
  window.addEventListener(themeChanged, changed);
  system.addEventListener('change', changed);
}

function chosen(): Theme {
  const stored = localStorage.getItem(key);
  return themes.find((theme) => theme === stored) ?? 'auto';
}
