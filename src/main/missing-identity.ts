/**
 * STRICT for a workload without an identity: nobody can prove anything to it, so everybody is refused.
 *
 * That is what was asked for, and hardly what was meant: it is said in the log and among the diagnostics.
 */

import { diagnosticCodes } from '../config/syntax/diagnostic-codes.ts';
import type { Diagnostic } from '../model/diagnostic.ts';
import type { InboundSecurity } from '../model/security.ts';

/** `security`: of a workload without an identity. Undefined: nothing of it is STRICT. */
export function missingIdentity({ mode, origin, ports }: InboundSecurity): Diagnostic | undefined {
  const [first] = ports.filter((each) => each.mode === 'strict');
  if (mode !== 'strict' && first === undefined) return undefined;
  const from = mode === 'strict' ? origin : first!.origin;
  const [, kind = '', namespace = '', name = '', place = ''] =
    /^(\S+) ([^/\s]+)\/(\S+) (.*)$/.exec(from) ?? [];
  const [, file = place, line, column] = /^(.*):(\d+):(\d+)$/.exec(place) ?? [];
  const { code, severity } = diagnosticCodes.get('strict-without-identity')!;
  const whom = mode === 'strict' ? 'everybody' : `everybody who calls port ${first!.port}`;
  return {
    ...{ code, severity, file, line: Number(line ?? 0), column: Number(column ?? 0) },
    resource: { kind, namespace, name },
    path: 'spec',
    message: `STRICT refuses ${whom}: this sidecar has no identity to end mutual TLS with`,
    fix: 'Start it with --identity (docs/identity.md), or make the mode PERMISSIVE.',
  };
}
