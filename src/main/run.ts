/**
 * `tracecar run`: a command with a sidecar, on a machine without Kubernetes. It behaves like the command:
 * same terminal, signals and status.
 *
 *   network -> rules and sidecar -> command ... command ends -> others have taken what it sent
 *   -> sidecar ends -> network goes
 *
 * Status 2 when it could not start, 126 and 127 as a shell has them, else that of the command.
 */

import type { ChildProcess } from 'node:child_process';
import { readFileSync } from 'node:fs';
import { systemClock } from '../base/clock.ts';
import { systemWakeUps } from '../base/deadlines.ts';
import {
  asStatus,
  awaitSidecar,
  checkReadable,
  hasTerminal,
  passSignals,
  startCommand,
  startSidecar,
  statusOf,
  whyNotRunnable,
} from './run-children.ts';
import { checkMachine, openNetwork, type RunNetwork } from './run-network.ts';
import { relayLocal } from './run-relay.ts';
import { type RunSettings, readRunSettings } from './run-settings.ts';
import { awaitTaken } from './run-taken.ts';
import { TerminalWitness } from './run-witness.ts';

/** Gives the exit status. Throws UsageError and StartError. */
export async function runCommand(args: readonly string[]): Promise<number> {
  const settings = readRunSettings(args, process.env);
  const problem = whyNotRunnable(settings.command[0]!, process.env.PATH ?? '');
  if (problem !== undefined) {
    process.stderr.write(`tracecar run: ${problem.problem}\n`);
    return problem.status;
  }
  const signals = new Signals();
  try {
    checkMachine();
    checkReadable(settings);
    const network = openNetwork(settings.address);
    try {
      return await runIn(network, settings, signals);
    } finally {
      closeNetwork(network);
    }
  } catch (error) {
    // A program that hears Ctrl-C before it is in its own session ends, and that is no news.
    await new Promise<void>((resolve) => systemWakeUps.after(0, resolve));
    if (signals.ending !== undefined) return asStatus(null, signals.ending);
    throw error;
  } finally {
    signals.close();
  }
}

/** The command's status is what counts: what is left here the next run puts away. */
function closeNetwork(network: RunNetwork): void {
  try {
    network.close();
  } catch (error) {
    complain(error instanceof Error ? error.message : String(error));
  }
}

async function runIn(
  network: RunNetwork,
  settings: RunSettings,
  signals: Signals,
): Promise<number> {
  const told = { ...process.env, ...settings.identity };
  const relay = await relayLocal(told, network.gateways[0]!);
  const sidecar = startSidecar(network, settings, relay.variables);
  try {
    const early = await Promise.race([awaitSidecar(network, settings, sidecar), signals.early]);
    if (early !== undefined) return asStatus(null, early);
    if (!settings.isQuiet) tell(network, settings);
    await signals.prepare();
    const command = startCommand(network, settings);
    signals.sendTo(command);
    const status = await statusOf(command);
    signals.keep();
    await finishAnswers(network, () => signals.isCalledOff);
    await awaitTaken({
      clock: systemClock,
      wakeUps: systemWakeUps,
      readTables: () => connectionTables(sidecar.pid),
      isCalledOff: () => signals.isCalledOff,
      remark: (line) => settings.isQuiet || complain(line),
      complain,
    });
    return status;
  } finally {
    sidecar.kill('SIGTERM');
    await statusOf(sidecar);
    relay.close();
  }
}

/** What we hear goes to the command once there is one; before, it ends the start. */
class Signals {
  readonly early: Promise<NodeJS.Signals>;
  /** The first one before there was a command. */
  ending: NodeJS.Signals | undefined;
  /** Whether one came after the command. */
  isCalledOff = false;
  send: (signal: NodeJS.Signals) => void = () => {};
  readonly #witness = hasTerminal() ? new TerminalWitness() : undefined;
  #hasCommand = false;

  constructor() {
    this.early = new Promise((settle) => {
      this.send = (signal) => {
        this.ending ??= signal;
        settle(signal);
      };
    });
    passSignals(
      (signal) => this.send(signal),
      async (signal) => this.#hasCommand && ((await this.#witness?.hasHeard(signal)) ?? false),
    );
  }

  /** Before there is a command: a signal of the terminal must find who tells of it. */
  async prepare(): Promise<void> {
    await this.#witness?.ready;
  }

  /** From now on they are for `command`. */
  sendTo(command: ChildProcess): void {
    this.#hasCommand = true;
    this.send = (signal) => void command.kill(signal);
  }

  /** The command has ended: from now on they end the wait for what it sent. */
  keep(): void {
    this.#hasCommand = false;
    this.send = () => {
      this.isCalledOff = true;
    };
  }

  close(): void {
    this.#witness?.close();
  }
}

const complain = (line: string) => void process.stderr.write(`tracecar run: ${line}\n`);

/** Of the network that a process is in; empty when it is gone. */
function connectionTables(pid: number | undefined): string {
  const read = (name: string) => {
    try {
      return readFileSync(`/proc/${pid}/net/${name}`, 'utf8');
    } catch {
      // A kernel without IPv6 has only the first.
      return '';
    }
  };
  return read('tcp') + read('tcp6');
}

function tell({ addresses, gateways, remark }: RunNetwork, { command }: RunSettings): void {
  const [at, machine] = [addresses.join(' and '), gateways.join(' and ')];
  const lines = [
    `${command[0]} is reached at ${at}; it reaches this machine at ${machine}`,
    ...(remark === '' ? [] : [remark]),
  ];
  process.stderr.write(lines.map((line) => `tracecar run: ${line}\n`).join(''));
}

const finishMs = 2_000;
const lookMs = 20;

/** The command's last answers may still be on their way through the sidecar. */
async function finishAnswers({ addresses }: RunNetwork, isCalledOff: () => boolean): Promise<void> {
  const until = systemClock.now() + finishMs;
  while (systemClock.now() < until && !isCalledOff()) {
    const active = await requestsActive(`http://${addresses[0]}:15090/metrics`);
    if (active === 0) return;
    await new Promise<void>((resolve) => systemWakeUps.after(lookMs, resolve));
  }
}

/** 0 also when nobody answers: then nothing is on its way. */
async function requestsActive(url: string): Promise<number> {
  try {
    const page = await (await fetch(url, { signal: AbortSignal.timeout(finishMs) })).text();
    const values = [...page.matchAll(/^tracecar_requests_active(?:\{.*\})? (\d+)$/gm)];
    return values.reduce((sum, match) => sum + Number(match[1]), 0);
  } catch {
    return 0;
  }
}
