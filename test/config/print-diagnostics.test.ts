/** How a mistake looks to a person and to a tool. */

import assert from 'node:assert/strict';
import { test } from 'node:test';
import { readResources } from '../../src/config/load.ts';
import {
  diagnosticLine,
  printDiagnosticsJson,
  printDiagnosticsText,
  summaryLine,
} from '../../src/config/print-diagnostics.ts';

const source = {
  file: 'route.yaml',
  text: `apiVersion: networking.istio.io/v1
kind: VirtualService
metadata: {name: reviews-route}
spec:
  hosts: [reviews]
  http:
    - route:
        - destination: {host: reviews}
          wieght: 60
`,
};

test('a mistake is shown with its line, a caret and what to write', () => {
  const { diagnostics } = readResources([source]);
  assert.equal(
    printDiagnosticsText(diagnostics, [source]),
    `route.yaml:9:11: error TC1201: There is no field \`wieght\` here \
(spec.http[0].route[0].wieght of VirtualService default/reviews-route)
     9 |           wieght: 60
       |           ^
       = Did you mean \`weight\`?
`,
  );
  assert.equal(summaryLine(diagnostics, 1), '1 error, 0 warnings in 1 file');
});

test('JSON holds the counts and every diagnostic as the model has it', () => {
  const { diagnostics } = readResources([source]);
  assert.deepEqual(JSON.parse(printDiagnosticsJson(diagnostics, 3)), {
    errors: 1,
    warnings: 0,
    files: 3,
    diagnostics: JSON.parse(JSON.stringify(diagnostics)),
  });
});

test('control characters of a file do not reach the terminal, long lines are cut', () => {
  const text = `a: "\u001b[2J"\n"${'x'.repeat(300)}": [\n`;
  const { diagnostics } = readResources([{ file: 'x.yaml', text }]);
  const printed = printDiagnosticsText(diagnostics, [{ file: 'x.yaml', text }]);
  assert.ok(diagnostics.length > 0 && !printed.includes('\u001b'));
  for (const line of printed.split('\n')) assert.ok(line.length < 200, line);
});

test('control characters are escaped wherever they stand, and a name cannot break a line', () => {
  const text = `apiVersion: networking.istio.io/v1
kind: VirtualService
metadata: {name: "a\\nb.yaml:1:1: error TC9999: \\e[31mred\\u202e"}
spec:
  hosts: [reviews]
  http:
    - route: [{destination: {host: reviews}}]
      "wieght\\x9b\\u2028": 1 # \u001b]0;title\u0007
`;
  const file = 'x\u001b[2J.yaml';
  const { diagnostics } = readResources([{ file, text }]);
  assert.equal(diagnostics.length, 2);
  const printed = printDiagnosticsText(diagnostics, [{ file, text }]);
  assert.doesNotMatch(printed.replaceAll('\n', ''), /[\p{Cc}\p{Cf}\p{Zl}\p{Zp}]/u);
  assert.equal(printed.split('\n').length, 2 * 4 + 1);
  assert.ok(printed.includes('x\\x1b[2J.yaml:3:18: error TC1303: `a\\x0ab.yaml'), printed);
  assert.ok(printed.includes('1 # \\x1b]0;title\\x07\n'), printed);
});

test('the caret stands under its column although characters before it are escaped', () => {
  const text = 'a: 1 # x\n\tb\u0007: {c: \u0001[}\n';
  const printed = printDiagnosticsText(
    [
      {
        severity: 'error',
        code: 'TC1010',
        resource: { kind: '', namespace: '', name: '' },
        path: '',
        file: 'x.yaml',
        line: 2,
        column: 11,
        message: 'm',
        fix: 'f',
      },
    ],
    [{ file: 'x.yaml', text }],
  );
  const [, shown = '', caret = ''] = printed.split('\n');
  assert.equal(shown, '     2 |  b\\x07: {c: \\x01[}');
  assert.equal(caret.indexOf('^'), shown.indexOf('['));
});

test('a complaint about a whole file has no line', () => {
  assert.equal(
    diagnosticLine({
      severity: 'error',
      code: 'TC1001',
      resource: { kind: '', namespace: '', name: '' },
      path: '',
      file: 'gone.yaml',
      line: 0,
      column: 0,
      message: 'There is no such file or folder',
      fix: '',
    }),
    'gone.yaml: error TC1001: There is no such file or folder',
  );
});
