/**
 * The Pod Security Standards, as far as a container can break them: an oracle of our own for tests,
 * written from the standard's table and not from the injector.
 */

import { isObject } from '../../../injector/pod.ts';

const baselineCapabilities = [
  ...['AUDIT_WRITE', 'CHOWN', 'DAC_OVERRIDE', 'FOWNER', 'FSETID', 'KILL', 'MKNOD'],
  ...['NET_BIND_SERVICE', 'SETFCAP', 'SETGID', 'SETPCAP', 'SETUID', 'SYS_CHROOT'],
];

/** Why a container breaks `restricted`; empty when it keeps it. */
export function breaksRestricted(container: unknown): string[] {
  const { securityContext: context, ...rest } = container as Record<string, unknown>;
  if (!isObject(context)) return ['no securityContext'];
  const { capabilities, seccompProfile } = context;
  const added = isObject(capabilities) ? (capabilities.add ?? []) : [];
  const dropped = isObject(capabilities) ? capabilities.drop : [];
  const broken = breaksBaseline(container);
  if (context.allowPrivilegeEscalation !== false) broken.push('allowPrivilegeEscalation');
  if (context.runAsNonRoot !== true) broken.push('runAsNonRoot');
  if (context.runAsUser === 0) broken.push('runAsUser');
  if (!Array.isArray(dropped) || !dropped.includes('ALL')) broken.push('drop ALL');
  if ((added as string[]).some((each) => each !== 'NET_BIND_SERVICE')) broken.push('add');
  if (!isObject(seccompProfile) || seccompProfile.type !== 'RuntimeDefault') broken.push('seccomp');
  if (JSON.stringify(rest).includes('"host":')) broken.push('host in a probe or hook');
  return broken;
}

/** Why a container breaks `baseline`. */
export function breaksBaseline(container: unknown): string[] {
  const { securityContext: context, ports } = container as Record<string, unknown>;
  if (!isObject(context)) return [];
  const broken: string[] = [];
  const { capabilities } = context;
  const added = isObject(capabilities) && Array.isArray(capabilities.add) ? capabilities.add : [];
  broken.push(...added.filter((each) => !baselineCapabilities.includes(each)));
  if (context.privileged === true) broken.push('privileged');
  if (JSON.stringify(ports ?? []).includes('hostPort')) broken.push('hostPort');
  return broken;
}
