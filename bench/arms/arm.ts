/**
 * What an arm is: a program that is measured, how it is found, and how one copy of it is started.
 *
 * Types only. An arm that cannot be started here is missing, with the command that helps: it is named
 * in the result, never left out.
 */

/** Where one copy of an arm listens and what it forwards to. */
export interface ArmPlace {
  readonly port: number;
  readonly backendPort: number;
  readonly secondBackendPort: number;
  readonly collectorPort: number;
  /** Of the second upstream (load/stream-backend.ts), which runs only where a scenario starts it. */
  readonly besidePort: number;
  /** Free for a second process of the arm: the other half of a pair. */
  readonly pairPort: number;
  /** Free ports for its own endpoints, where it has such: loopback administration and metrics. */
  readonly adminPort: number;
  readonly metricsPort: number;
  /** A folder of its own for configuration and run files. */
  readonly directory: string;
}

export interface ArmCommand {
  readonly command: string;
  readonly args: readonly string[];
  readonly environment?: Readonly<Record<string, string>>;
  /**
   * Further processes of the arm, started before it on the same core: the other half of a pair. What they
   * use is the arm's.
   */
  readonly also?: readonly ArmCommand[];
}

export interface FoundArm {
  readonly version: string;
  readonly program: string;
  /** A hash of what runs, where it is built and no part of the commit. */
  readonly build?: string;
}

export interface MissingArm {
  readonly missing: string;
  /** What to run to have it. */
  readonly install: string;
}

export interface Arm {
  readonly name: string;
  readonly label: string;
  /** In the result file and the report: what it does here, in a few words. */
  readonly setting: string;
  find(): FoundArm | MissingArm;
  /** Writes the configuration of one copy and says how to start it. */
  prepare(place: ArmPlace): ArmCommand;
}

/** The arm without a proxy; it stands twice in every round, which shows the noise. */
export const directNames = ['direct', 'direct-again'] as const;
