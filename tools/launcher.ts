/**
 * How `dist/tracecar` starts Node.js: its flags and variables, for the build that writes them into the
 * launcher and for whoever measures a sidecar that must run as users run it.
 *
 * The sidecar's; the injector has a larger young generation (tools/build.ts). Why: docs/decisions/start.md.
 */

/** Mebibytes of one semi-space of V8's young generation. */
export const sidecarSemiSpaceMib = 2;

export const launcherFlags: readonly string[] = ['--disable-warning=ExperimentalWarning'];

/** Of programs that hold keys: a signal would open the debugger, which reads them. */
export const keeperFlags: readonly string[] = ['--disable-sigusr1'];

export const sidecarFlags: readonly string[] = [
  ...launcherFlags,
  ...keeperFlags,
  `--max-semi-space-size=${sidecarSemiSpaceMib}`,
];

export const launcherEnvironment: Readonly<Record<string, string>> = {
  MALLOC_ARENA_MAX: '1',
  MALLOC_TRIM_THRESHOLD_: '262144',
};
