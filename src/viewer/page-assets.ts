/**
 * The web page as files: one shell for every address of the page, and the scripts and styles behind
 * it.
 *
 * A bundle has them beside it, `page.js` and `page.css` (tools/build.ts). A checkout serves its
 * sources, each with its types stripped (node:module), so nothing needs to be built. The policy
 * allows scripts and styles of this origin only, and none inside of the page: a text that slips into
 * markup runs nothing.
 */

import { existsSync, readFileSync, statSync } from 'node:fs';
import type { ServerResponse } from 'node:http';
import { stripTypeScriptTypes } from 'node:module';
import { answer, answerText } from './http-listener.ts';

/** Answers a GET; false when `path` is no page and no file of one. */
export function answerPage(path: string, response: ServerResponse): boolean {
  if (/^\/(|trace|trace\/.*|compare|compare\/.*|ab|ab\/.*|graph)$/.test(path)) {
    answer(response, 200, 'text/html; charset=utf-8', shell(), pageHeaders);
    return true;
  }
  if (!path.startsWith(base)) return false;
  const asset = readAsset(path.slice(base.length));
  if (asset === undefined) answerText(response, 404, 'no such file of the page');
  else answer(response, 200, asset.type, asset.body);
  return true;
}

const base = '/assets/';
const isBundle = existsSync(new URL('./page.js', import.meta.url));

const pageHeaders = {
  'content-security-policy':
    "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; " +
    "img-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'",
  'referrer-policy': 'no-referrer',
};

function shell(): string {
  const [script, style, icon] = isBundle
    ? ['page.js', 'page.css', 'page.svg']
    : ['viewer/page/app.ts', 'viewer/page/style.css', 'viewer/page/icon.svg'];
  return `<!DOCTYPE html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta name="color-scheme" content="light dark">
<title>tracecar</title>
<link rel="icon" href="${base}${icon}">
<link rel="stylesheet" href="${base}${style}">
<script type="module" src="${base}${script}"></script>
</head>
<body>
<noscript>This page needs JavaScript. In a terminal: <code>tracecar view --trace ID</code>, or
<a href="/api/v3/services">Jaeger's query API v3</a>.</noscript>
</body>
</html>
`;
}

interface Asset {
  readonly type: string;
  readonly body: string | Uint8Array;
}

const contentTypes: Readonly<Record<string, string>> = {
  js: 'text/javascript; charset=utf-8',
  ts: 'text/javascript; charset=utf-8',
  css: 'text/css; charset=utf-8',
  svg: 'image/svg+xml',
};

/** Below src/: what the page's scripts import. One file each: no dots but the last one. */
const sources = /^(?:viewer|viewer\/page|model)\/[a-z0-9-]+\.(ts|css|svg)$/;
const bundled = /^page\.(js|css|svg)$/;

function readAsset(name: string): Asset | undefined {
  const ending = (isBundle ? bundled : sources).exec(name)?.[1];
  const file = new URL(isBundle ? `./${name}` : `../${name}`, import.meta.url);
  if (ending === undefined || !existsSync(file)) return undefined;
  const body = ending === 'ts' ? readScript(file) : readFileSync(file);
  return { type: contentTypes[ending]!, body };
}

/** By path: a source is stripped again only when it was written again. */
const stripped = new Map<string, { readonly changedMs: number; readonly text: string }>();

function readScript(file: URL): string {
  const changedMs = statSync(file).mtimeMs;
  const known = stripped.get(file.pathname);
  if (known?.changedMs === changedMs) return known.text;
  const text = stripQuietly(readFileSync(file, 'utf8'));
  stripped.set(file.pathname, { changedMs, text });
  return text;
}

/** Node warns once that the function is experimental: true, and no news to who starts a viewer. */
function stripQuietly(source: string): string {
  const { emitWarning } = process;
  process.emitWarning = () => {};
  try {
    return stripTypeScriptTypes(source);
  } finally {
    process.emitWarning = emitWarning;
  }
}
