/**
 * YAML file: text to documents, with every complaint about the YAML itself.
 *
 * YAML 1.2 core schema: `yes`, `on` and dates are text, no merge keys, no tags beyond the core ones.
 * A second pass finds double keys in linear time (the parser's own check is quadratic) and ties each
 * alias to its anchor. Nothing is ever turned into JavaScript objects here.
 */

import {
  type Alias,
  type Document,
  isAlias,
  isDocument,
  isMap,
  isPair,
  isScalar,
  isSeq,
  LineCounter,
  type Node,
  type ParsedNode,
  parseAllDocuments,
} from 'yaml';
import { configLimits } from '../../model/limits.ts';
import { type Complaints, noResource, type Place, type SourceFile } from './complaints.ts';
import { explainSyntax, firstLine } from './explain-syntax.ts';

/** One YAML document that is well-formed; what it means is not known yet. */
export interface YamlDocument {
  readonly source: SourceFile;
  readonly root: Node | null;
  readonly aliasTargets: ReadonlyMap<Alias, Node>;
}

/**
 * The documents of a text that have no YAML error; the complaints about the others are added. When
 * one document is broken the ones before it are still returned, because all mistakes come at once.
 */
export function parseYaml(file: string, text: string, complaints: Complaints): YamlDocument[] {
  const lines = new LineCounter();
  const source: SourceFile = { file, lineStarts: lines.lineStarts };
  const documents = parseDocuments(source, text, lines, complaints);
  const sound: YamlDocument[] = [];
  for (const document of documents) {
    const before = complaints.errorCount;
    for (const { offset, message, fix } of explainSyntax(document, text)) {
      complaints.add('yaml-syntax', at(source, offset), message, fix);
    }
    for (const problem of document.warnings) {
      const kind = problem.code === 'TAG_RESOLVE_FAILED' ? 'yaml-tag' : 'yaml-syntax';
      const fix = 'Remove the tag; values are plain text, numbers, lists and mappings.';
      complaints.add(kind, at(source, problem.pos[0]), firstLine(problem.message), fix);
    }
    const aliasTargets = inspect(document, source, complaints);
    const root = document.contents;
    const isEmpty = root === null || (isScalar(root) && root.value === null);
    if (complaints.errorCount === before && !isEmpty) {
      sound.push({ source, root, aliasTargets });
    }
  }
  return sound;
}

function parseDocuments(
  source: SourceFile,
  text: string,
  lines: LineCounter,
  complaints: Complaints,
): readonly Document.Parsed<ParsedNode>[] {
  try {
    const parsed = parseAllDocuments(text, {
      version: '1.2',
      schema: 'core',
      merge: false,
      strict: true,
      uniqueKeys: false,
      prettyErrors: false,
      stringKeys: false,
      logLevel: 'silent',
      lineCounter: lines,
    });
    return Array.isArray(parsed) ? parsed.filter((document) => isDocument(document)) : [];
  } catch (error) {
    // Nesting deeper than the stack ends here; the parser has no other way to throw.
    const message = error instanceof Error ? firstLine(error.message) : String(error);
    const fix = 'Write the file without such deep nesting.';
    complaints.add('yaml-syntax', at(source, 0), `The YAML cannot be read: ${message}`, fix);
    return [];
  }
}

/** Checks keys and aliases of a document, and says which node each alias stands for. */
function inspect(
  document: Document.Parsed<ParsedNode>,
  source: SourceFile,
  complaints: Complaints,
): ReadonlyMap<Alias, Node> {
  const targets = new Map<Alias, Node>();
  const anchors = new Map<string, Node>();
  const waiting: unknown[] = [document.contents];
  let aliases = 0;
  while (waiting.length > 0) {
    const node = waiting.pop();
    if (isAlias(node)) {
      aliases += 1;
      const target = anchors.get(node.source);
      if (target !== undefined) targets.set(node, target);
      else {
        const fix = `Write \`&${node.source}\` at the value that it should repeat, further up.`;
        const place = at(source, node.range?.[0] ?? 0);
        complaints.add('yaml-syntax', place, `The alias *${node.source} has no anchor`, fix);
      }
    } else if (isMap(node)) {
      if (node.anchor !== undefined) anchors.set(node.anchor, node);
      checkKeys(node.items, source, complaints);
      for (let index = node.items.length - 1; index >= 0; index--) {
        waiting.push(node.items[index]!.value);
      }
    } else if (isSeq(node)) {
      if (node.anchor !== undefined) anchors.set(node.anchor, node);
      for (let index = node.items.length - 1; index >= 0; index--) waiting.push(node.items[index]);
    } else if (isPair(node)) {
      waiting.push(node.value);
    } else if (isScalar(node) && node.anchor !== undefined) {
      anchors.set(node.anchor, node);
    }
  }
  if (aliases > configLimits.aliasesMax) complainOfAliases(complaints, at(source, 0));
  return targets;
}

/** Says that a document uses too many aliases; also used where following them costs too much. */
export function complainOfAliases(complaints: Complaints, place: Place): void {
  const message = `A document may use at most ${configLimits.aliasesMax} aliases`;
  complaints.add('yaml-aliases', place, message, 'Write the repeated values out.');
}

function checkKeys(
  items: readonly { readonly key: unknown }[],
  source: SourceFile,
  complaints: Complaints,
): void {
  const seen = new Set<string>();
  for (const { key } of items) {
    const text = keyText(key);
    const offset = isScalar(key) || isMap(key) || isSeq(key) ? (key.range?.[0] ?? 0) : 0;
    if (text === undefined) {
      const fix = 'Write a plain word before the colon.';
      complaints.add('yaml-key', at(source, offset), 'A key must be plain text', fix);
    } else if (seen.has(text)) {
      const message = `The key \`${text}\` stands twice in this mapping`;
      const fix = `Keep one \`${text}\`; two lists are joined under one key.`;
      complaints.add('yaml-duplicate-key', at(source, offset), message, fix);
    } else seen.add(text);
  }
}

/** A key as text: `1` and `true` are the words they were written as. Undefined: not a scalar. */
export function keyText(key: unknown): string | undefined {
  if (!isScalar(key)) return undefined;
  return typeof key.value === 'string' ? key.value : (key.source ?? String(key.value));
}

function at(source: SourceFile, offset: number): Place {
  return { source, resource: noResource, path: '', offset };
}
