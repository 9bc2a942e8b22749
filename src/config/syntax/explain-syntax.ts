/**
 * Explain syntax: what the YAML parser complains of, in words and at the place where it can be mended.
 *
 * The parser sees that a bracket or quote is not closed only where the text goes on or ends, often on
 * an empty line further down. The complaint belongs to where it was opened.
 */

import { type Document, isCollection, isPair, isScalar, type ParsedNode } from 'yaml';

export interface SyntaxComplaint {
  readonly offset: number;
  readonly message: string;
  readonly fix: string;
}

type Problem = Document.Parsed<ParsedNode>['errors'][number];

/** The last words of the parser's message about a `[` or `{` that does not end. */
const UNCLOSED_BRACKET = /must (?:be sufficiently indented and )?end with a ([\]}])$/;
const UNCLOSED_QUOTE = /^Missing closing (["'])quote/;
const openers: Readonly<Record<string, string>> = { ']': '[', '}': '{' };

/** Every error of a document, in the order of the parser. */
export function explainSyntax(
  document: Document.Parsed<ParsedNode>,
  text: string,
): readonly SyntaxComplaint[] {
  const { errors } = document;
  if (errors.length === 0) return [];
  const opened = openedUntil(document, text);
  const quoteEnds = new Set(
    errors.filter(({ message }) => UNCLOSED_QUOTE.test(message)).map(({ pos }) => pos[0]),
  );
  const found: SyntaxComplaint[] = [];
  for (const problem of errors) {
    const [end] = problem.pos;
    const bracket = UNCLOSED_BRACKET.exec(problem.message)?.[1];
    const quote = UNCLOSED_QUOTE.exec(problem.message)?.[1];
    // A quote without an end has taken the rest of the text, brackets too.
    if (bracket !== undefined && quoteEnds.has(end)) continue;
    const opener = bracket === undefined ? quote : openers[bracket];
    const offset = opener === undefined ? undefined : opened.get(`${opener}${end}`)?.shift();
    if (opener === undefined || offset === undefined) found.push(explain(problem));
    else {
      const closer = bracket ?? opener;
      const fix =
        bracket === undefined
          ? `Write the missing \`${closer}\` at the end of the text.`
          : `Write the missing \`${closer}\`, or indent the lines up to it further.`;
      found.push({ offset, message: `This \`${opener}\` is never closed`, fix });
    }
  }
  return found;
}

/**
 * Where brackets and quotes begin that end at the same offset, outer ones first: of several with the
 * same end it is the outer ones that were not closed. The key is the character and the end.
 */
function openedUntil(
  document: Document.Parsed<ParsedNode>,
  text: string,
): ReadonlyMap<string, number[]> {
  const opened = new Map<string, number[]>();
  const waiting: unknown[] = [document.contents];
  while (waiting.length > 0) {
    const node = waiting.pop();
    if (isPair(node)) {
      waiting.push(node.value, node.key);
      continue;
    }
    if (!isCollection(node) && !isScalar(node)) continue;
    if (isCollection(node)) {
      for (let index = node.items.length - 1; index >= 0; index--) waiting.push(node.items[index]);
    }
    const [start, end] = node.range ?? [0, 0];
    const key = `${text[start]}${end}`;
    const starts = opened.get(key);
    if (starts === undefined) opened.set(key, [start]);
    else starts.push(start);
  }
  return opened;
}

function explain({ code, message: whole, pos }: Problem): SyntaxComplaint {
  const message = firstLine(whole);
  const [offset] = pos;
  switch (code) {
    case 'TAB_AS_INDENT':
      return { offset, message: 'A tab is used as indentation', fix: 'Indent with spaces.' };
    case 'BAD_INDENT':
    case 'BLOCK_IN_FLOW':
      return { offset, message, fix: 'Line the key up with its siblings, with spaces.' };
    case 'BAD_SCALAR_START':
    case 'BLOCK_AS_IMPLICIT_KEY':
      return { offset, message, fix: 'Put the value into quotes.' };
    case 'RESOURCE_EXHAUSTION':
      return { offset, message, fix: 'Write the file without such deep nesting.' };
    default: {
      const fix = 'Compare this line with the lines above: indentation, colon, quotes.';
      return { offset, message, fix };
    }
  }
}

/** Without the excerpts that the parser may add. */
export function firstLine(text: string): string {
  const end = text.indexOf('\n');
  return end === -1 ? text : text.slice(0, end);
}
