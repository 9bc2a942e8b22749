/**
 * `tracecar view --trace ID`: fetches one trace from a query API v3 and prints it.
 *
 * The API may be our viewer's or Jaeger's. Status 1 when the trace is not there; a StartError, and
 * so status 2, when nobody answers or what answers is no such API.
 */

import { writeFileSync } from 'node:fs';
import { Agent, request } from 'undici';
import { viewerLimits } from '../model/viewer-limits.ts';
import { readStoredTrace, type StoredTrace } from '../viewer/stored-trace.ts';
import { printWaterfall, type WaterfallOptions } from '../viewer/waterfall.ts';
import type { Environment } from './flags.ts';
import { codeOf, StartError } from './listen-problem.ts';
import type { ShowSettings } from './view-settings.ts';

/** Prints the trace on stdout and gives the exit status. */
export async function showTrace(settings: ShowSettings): Promise<number> {
  const loaded = await loadTrace(settings, 'view');
  if (loaded === undefined) return 1;
  const { trace, result } = loaded;
  if (settings.exportFile !== undefined) return exportTrace(settings.exportFile, result);
  if (settings.isJson) process.stdout.write(`${JSON.stringify(result)}\n`);
  else process.stdout.write(printWaterfall(trace, pictureOptions(settings)));
  return 0;
}

/** Writes the trace as one line: `--import` and every OTLP receiver read it again. */
function exportTrace(file: string, result: unknown): number {
  const line = `${JSON.stringify(result)}\n`;
  if (file === '-') {
    process.stdout.write(line);
    return 0;
  }
  try {
    writeFileSync(file, line);
  } catch (error) {
    throw new StartError(`${file} cannot be written: ${codeOf(error)}`);
  }
  return 0;
}

/** The trace, and what the API sent; undefined when it is not there, which stderr has said then. */
export async function loadTrace(
  settings: ShowSettings,
  command: string,
): Promise<{ readonly trace: StoredTrace; readonly result: unknown } | undefined> {
  const { traceId, queryUrl } = settings;
  const { status, text } = await fetchTrace(`${queryUrl}/api/v3/traces/${traceId}`, settings);
  if (status === 404 && isApiError(text)) {
    process.stderr.write(
      `tracecar ${command}: ${queryUrl} has no trace ${traceId}: not sampled, not exported yet ` +
        '(senders do it every few seconds), or dropped for newer ones\n',
    );
    return undefined;
  }
  const body = status === 200 ? parseJson(text) : undefined;
  const trace = readStoredTrace(traceId, body);
  if (trace === undefined) {
    const what = status === 200 ? 'with something else than a trace' : `with status ${status}`;
    throw new StartError(
      `${queryUrl} answers ${what}: is it a viewer, or Jaeger 2 with its query API v3?`,
    );
  }
  return { trace, result: (body as { result: unknown }).result ?? body };
}

/** How pictures are drawn where stdout goes. */
export function pictureOptions(settings: ShowSettings): Required<WaterfallOptions> {
  return {
    width: settings.width ?? process.stdout.columns ?? 100,
    color: !settings.isColorless && wantsColor(process.env, process.stdout.isTTY === true),
    ascii: wantsAscii(process.env),
  };
}

async function fetchTrace(
  url: string,
  { queryUrl }: ShowSettings,
): Promise<{ readonly status: number; readonly text: string }> {
  const dispatcher = new Agent({
    connect: { timeout: 5_000 },
    headersTimeout: 30_000,
    bodyTimeout: 30_000,
    maxResponseSize: viewerLimits.ingestDecodedBytesMax,
  });
  try {
    const { statusCode, body } = await request(url, { dispatcher });
    return { status: statusCode, text: await body.text() };
  } catch (error) {
    throw new StartError(fetchProblem(queryUrl, error));
  } finally {
    await dispatcher.destroy();
  }
}

function fetchProblem(queryUrl: string, error: unknown): string {
  switch (codeOf(error)) {
    case 'ECONNREFUSED':
      return `nothing listens at ${queryUrl}: start a viewer with \`tracecar view\`, or name another with --query`;
    case 'ENOTFOUND':
    case 'EAI_AGAIN':
      return `the name in ${queryUrl} is not known`;
    case 'UND_ERR_CONNECT_TIMEOUT':
    case 'ETIMEDOUT':
    case 'EHOSTUNREACH':
      return `${queryUrl} cannot be reached; is its host up?`;
    case 'UND_ERR_RES_EXCEEDED_MAX_SIZE':
      return `the answer of ${queryUrl} is over ${viewerLimits.ingestDecodedBytesMax} bytes`;
    default:
      return `${queryUrl} could not be asked: ${codeOf(error)}`;
  }
}

function parseJson(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return undefined;
  }
}

/** A 404 of the API itself, and not of a server that has no such API. */
function isApiError(text: string): boolean {
  const body = parseJson(text);
  return typeof body === 'object' && body !== null && 'error' in body;
}

/** https://no-color.org and FORCE_COLOR; else colors are for terminals. */
export function wantsColor(environment: Environment, isTerminal: boolean): boolean {
  const { NO_COLOR, FORCE_COLOR, TERM } = environment;
  if (NO_COLOR !== undefined && NO_COLOR !== '') return false;
  if (FORCE_COLOR !== undefined && FORCE_COLOR !== '0') return true;
  return isTerminal && TERM !== 'dumb';
}

/** A dumb terminal, or a locale that says another encoding than UTF-8; none at all says nothing. */
export function wantsAscii(environment: Environment): boolean {
  if (environment.TERM === 'dumb') return true;
  const locale = [environment.LC_ALL, environment.LC_CTYPE, environment.LANG].find(
    (each) => each !== undefined && each !== '',
  );
  return locale !== undefined && !/utf-?8/i.test(locale);
}
