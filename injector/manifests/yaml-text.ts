/**
 * Plain data as YAML text: block style, two spaces, one way to write each value.
 *
 * Enough for manifests and no more: mappings, lists, texts, numbers, booleans. A text that could be
 * read as anything else is quoted as in JSON, which is valid YAML (YAML 1.2.2, 7.3.1).
 */

type Data = unknown;

/** Documents one after another, separated by `---`. */
export function printYamlDocuments(documents: readonly Data[]): string {
  return documents.map((each) => `${printBlock(each, '')}\n`).join('---\n');
}

function printBlock(value: Data, indent: string): string {
  if (Array.isArray(value)) {
    return value.map((each) => `${indent}- ${printItem(each, `${indent}  `)}`).join('\n');
  }
  return Object.entries(value as Record<string, Data>)
    .filter(([, each]) => each !== undefined)
    .map(([key, each]) => `${indent}${printText(key)}:${printMember(each, indent)}`)
    .join('\n');
}

/** After `key:`, the blank or line break included. */
function printMember(value: Data, indent: string): string {
  return isBlock(value) ? `\n${printBlock(value, `${indent}  `)}` : ` ${printScalar(value)}`;
}

/** After `- `: the first line of a block follows at once. */
function printItem(value: Data, indent: string): string {
  return isBlock(value) ? printBlock(value, indent).slice(indent.length) : printScalar(value);
}

function isBlock(value: Data): boolean {
  return typeof value === 'object' && value !== null && Object.keys(value).length > 0;
}

function printScalar(value: Data): string {
  if (Array.isArray(value)) return '[]';
  if (typeof value === 'object' && value !== null) return '{}';
  return typeof value === 'string' ? printText(value) : String(value);
}

function printText(text: string): string {
  const isPlain = /^[A-Za-z/][\w./-]*(:[\w./-]+)*$/.test(text);
  const isWord = /^(true|false|yes|no|on|off|null|y|n)$/i.test(text);
  return isPlain && !isWord ? text : JSON.stringify(text);
}
