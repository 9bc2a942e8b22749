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
