/**
 * `tracecar explain --trace ID`: a trace as a waterfall, then hop by hop why it went as it did.
 *
 * Asks a viewer or Jaeger, as `tracecar view --trace` does, with the same answers and exit status.
 */

import { explainAsJson, explainAsText } from '../viewer/explain-trace.ts';
import { readExplainSettings } from './explain-settings.ts';

/** Gives the exit status. Throws UsageError and StartError: one line for who typed it. */
export async function runExplain(args: readonly string[]): Promise<number> {
  const settings = readExplainSettings(args, process.env);
  const { loadTrace, pictureOptions } = await import('./view-trace.ts');
  const loaded = await loadTrace(settings, 'explain');
  if (loaded === undefined) return 1;
  const text = settings.isJson
    ? `${JSON.stringify(explainAsJson(loaded.trace))}\n`
    : explainAsText(loaded.trace, pictureOptions(settings));
  process.stdout.write(text);
  return 0;
}
