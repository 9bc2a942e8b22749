/**
 * Authorization policies for tests: written as a person writes them, compiled as a sidecar does.
 */

import assert from 'node:assert/strict';
import { compileTable, readResources } from '../../src/config/load.ts';
import type { AuthorizationPlan } from '../../src/model/security.ts';

/** A document; `spec` in one line, `annotations` likewise. */
export function policyText(name: string, spec: string, annotations = ''): string {
  const metadata = `{name: ${name}, namespace: shop, annotations: {${annotations}}}`;
  return `apiVersion: security.istio.io/v1\nkind: AuthorizationPolicy\nmetadata: ${metadata}\nspec: ${spec}\n`;
}

/** The plan of `app: web` in namespace `shop`, and the codes of what is complained of. */
export function compilePolicies(
  texts: readonly string[],
  trustDomain = 'cluster.local',
): { readonly plan: AuthorizationPlan; readonly codes: readonly string[] } {
  const text = texts.join('---\n');
  const { resources, diagnostics } = readResources([{ file: 'policies.yaml', text }]);
  const labels = { app: 'web' };
  const context = { namespace: 'shop', labels, generation: 1, capture: 'redirect', trustDomain };
  const { table } = compileTable(resources, { ...context, capture: 'redirect' });
  return {
    plan: table.security.authorization,
    codes: [...new Set(diagnostics.map(({ code }) => code))].toSorted(),
  };
}

/** The same where there must be nothing to complain of. */
export function planOf(...texts: readonly string[]): AuthorizationPlan {
  const { plan, codes } = compilePolicies(texts);
  assert.deepEqual(codes, []);
  return plan;
}
