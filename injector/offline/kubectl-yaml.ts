/**
 * YAML as kubectl reads it (go-yaml, YAML 1.1) and as it may be written back for every reader.
 *
 * `yes`, `off` and `y` are truths there, `0644` is octal and `1_000` a number. A scalar that was read
 * is printed as it stood in the file, so nothing changes its meaning by passing through; a text of
 * ours that any YAML 1.1 reader could take for something else is quoted. Merge keys and aliases can be
 * written out, because two places that share a value would share a change to it.
 */

import {
  type Document,
  isMap,
  isNode,
  isScalar,
  isSeq,
  type Node,
  type Pair,
  Scalar,
  type ScalarTag,
  type Tags,
  visit,
  type YAMLMap,
} from 'yaml';

/** Options of `parseAllDocuments`. */
export const kubectlSchema = {
  schema: 'core',
  customTags: (tags: Tags): Tags => [
    ...[truth, integer, float, mergeKey],
    ...tags.filter((each) => typeof each === 'string' || !isReplaced.test(each.tag)),
  ],
} as const;

const isReplaced = /:(bool|int|float)$/;

const truth: ScalarTag = {
  identify: (value) => typeof value === 'boolean',
  default: true,
  tag: 'tag:yaml.org,2002:bool',
  test: /^(?:y|Y|yes|Yes|YES|n|N|no|No|NO|true|True|TRUE|false|False|FALSE|on|On|ON|off|Off|OFF)$/,
  resolve: (text) => /^(y|t|on)/i.test(text),
  stringify: asItStood,
};

const integer: ScalarTag = {
  identify: (value) => Number.isInteger(value),
  default: true,
  tag: 'tag:yaml.org,2002:int',
  test: /^[-+]?(?:0[bB][01_]+|0[xX][0-9a-fA-F_]+|0[oO]?[0-7_]+|0|[1-9][0-9_]*)$/,
  resolve: (text) => {
    const digits = text.replaceAll('_', '').replace(/^[-+]/, '').toLowerCase();
    const number = Number(digits.replace(/^0(?=[0-7])/, '0o'));
    return text.startsWith('-') ? -number : number;
  },
  stringify: asItStood,
};

const float: ScalarTag = {
  identify: (value) => typeof value === 'number',
  default: true,
  tag: 'tag:yaml.org,2002:float',
  test: /^(?:[-+]?(?:\.[0-9][0-9_]*|[0-9][0-9_]*(?:\.[0-9_]*)?)(?:[eE][-+]?[0-9]+)?|[-+]?\.(?:inf|Inf|INF)|\.(?:nan|NaN|NAN))$/,
  resolve: (text) => {
    if (/inf$/i.test(text)) return text.startsWith('-') ? -Infinity : Infinity;
    return Number(text.replaceAll('_', ''));
  },
  stringify: asItStood,
};

/** The package's own takes a quoted text `<<` for a merge key when it prints. */
const mergeKey: ScalarTag = {
  identify: isMergeSymbol,
  default: 'key',
  tag: 'tag:yaml.org,2002:merge',
  test: /^<<$/,
  resolve: () => new Scalar(Symbol('<<')),
  stringify: () => '<<',
};

function asItStood({ source, value }: Scalar): string {
  return source ?? String(value);
}

/** Numbers, times, dates, truths, nothing, `=` and `<<`, in the words of any YAML 1.1 reader. */
const otherThanText =
  /^(?:[-+]?[._]*(?:[0-9].*|e[-+]?[0-9]+|inf|nan)?|true|false|yes|no|on|off|y|n|null|~|=|<<)$/is;

/** Whether somebody may read the plain scalar as something else than a text. */
export function needsQuotes(text: string): boolean {
  return otherThanText.test(text);
}

/** A node for a value of ours, safe to print. */
export function createQuotedNode(document: Document, value: unknown): Node {
  const created = document.createNode(value);
  const holder = isNode(created) ? created : new Scalar(created);
  visit(holder, {
    Scalar(_key, scalar) {
      if (typeof scalar.value === 'string' && needsQuotes(scalar.value)) {
        scalar.type = Scalar.QUOTE_DOUBLE;
      }
    },
  });
  return holder;
}

/** Whether an alias of the document stands within what it names: no tree can be made of that. */
export function hasCycle(document: Document): boolean {
  let isFound = false;
  visit(document, {
    Alias(_key, alias, path) {
      const target = alias.resolve(document);
      isFound ||= target !== undefined && path.includes(target);
    },
  });
  return isFound;
}

/** Writes out aliases and merge keys. Only for a document without a cycle. */
export function writeOutShared(document: Document): void {
  visit(document, {
    Alias(_key, alias) {
      const copy = alias.resolve(document)?.clone() as Node | undefined;
      if (copy !== undefined) forgetAnchors(copy);
      return copy;
    },
  });
  forgetAnchors(document);
  visit(document, {
    Map(_key, map) {
      writeOutMerges(map);
    },
  });
}

function forgetAnchors(root: Node | Document): void {
  visit(root as Node, {
    Value(_key, node) {
      delete node.anchor;
    },
  });
}

/** What stands in the mapping itself wins over what is merged, and the first source over the next. */
function writeOutMerges(map: YAMLMap): void {
  for (const pair of map.items.filter(isMerge)) {
    const sources = isSeq(pair.value) ? pair.value.items : [pair.value];
    if (!sources.every(isMap)) continue;
    map.items.splice(map.items.indexOf(pair), 1);
    for (const source of sources) {
      writeOutMerges(source);
      for (const item of source.items) if (!map.has(item.key)) map.items.push(item);
    }
  }
}

function isMerge({ key }: Pair): boolean {
  return isScalar(key) && isMergeSymbol(key.value);
}

function isMergeSymbol(value: unknown): boolean {
  return typeof value === 'symbol' && value.description === '<<';
}
