/**
 * A sidecar's identity at work: files of token and trust bundle, the authority's address, the agent.
 *
 * It joins the agent with the machine and shows its state: to the admin port, which sees hashes and
 * times and never a key, and to metrics.
 */

import { readFile, stat } from 'node:fs/promises';
import { systemWallTime } from '../base/clock.ts';
import type { WakeUps } from '../base/deadlines.ts';
import type { Random } from '../base/random.ts';
import { Secret } from '../base/secret.ts';
import { IdentityAgent } from '../identity/agent.ts';
import { callAuthority } from '../identity/authority-call.ts';
import { BundleFile } from '../identity/bundle-file.ts';
import { IdentityStore } from '../identity/identity-store.ts';
import { MeshIdentity } from '../identity/mesh-identity.ts';
import { readTrustBundle } from '../identity/trust-bundle.ts';
import { agentLimits } from '../model/agent-limits.ts';
import { hideMemory } from './hide-memory.ts';
import type { IdentitySettings } from './identity-flags.ts';
import { claimInstance } from './instance-name.ts';
import { codeOf, StartError } from './listen-problem.ts';
import type { Log } from './log.ts';

export interface SidecarIdentityOptions {
  readonly settings: IdentitySettings;
  readonly trustDomain: string;
  /** A name of this start alone; see instance-name.ts. */
  readonly instance: string;
  readonly wakeUps: WakeUps;
  readonly random: Random;
  readonly log: Log;
  readonly onChange: () => void;
}

export class SidecarIdentity {
  readonly mesh = new MeshIdentity();
  readonly #options: SidecarIdentityOptions;
  readonly #agent: IdentityAgent;
  #file: BundleFile | undefined;
  #instance: string;

  constructor(options: SidecarIdentityOptions) {
    this.#options = options;
    const { settings, trustDomain, wakeUps, random, log, onChange } = options;
    this.#instance = settings.instance || options.instance;
    const { answerBytesMax, callTimeoutMs: timeoutMs } = agentLimits;
    const call = { place: settings.authority, wakeUps, timeoutMs, answerBytesMax };
    this.#agent = new IdentityAgent({
      ...{ mesh: this.mesh, wakeUps, random, limits: agentLimits, trustDomain, onChange },
      wallTime: systemWallTime,
      ...{ expectedId: settings.expectedId, instance: () => this.#instance },
      log: log.write,
      call: (request) => callAuthority(call, request),
      readToken: () => readToken(settings.tokenFile),
      store:
        settings.folder === '' ? undefined : new IdentityStore(settings.folder, settings.tokenFile),
    });
  }

  /** Empty as soon as there is a certificate. */
  get whyNone(): string {
    return this.#file?.problem ? `no trust bundle: ${this.#file.problem}` : this.#agent.whyNone;
  }

  /** Throws StartError for what only a person can mend: a file that is not there, a text that is none. */
  async check(): Promise<void> {
    const { bundle, tokenFile } = this.#options.settings;
    await checkThere('--token', tokenFile);
    if ('file' in bundle) return checkThere('--trust-bundle', bundle.file);
    const read = readTrustBundle(bundle.pem);
    if ('problem' in read) throw new StartError(`TRACECAR_TRUST_BUNDLE: ${read.problem}`);
  }

  /** Resolves after the first attempt, good or not; never rejects. */
  async start(): Promise<void> {
    const { settings, log, wakeUps } = this.#options;
    const { bundle } = settings;
    hideMemory();
    if (settings.instance === '') await this.#claimInstance();
    if ('pem' in bundle) {
      const read = readTrustBundle(bundle.pem);
      return 'problem' in read ? undefined : this.#agent.takeBundle(read);
    }
    let taken: Promise<void> | undefined;
    this.#file = new BundleFile({
      ...{ path: bundle.file, wakeUps, limits: agentLimits, log: log.write },
      onBundle: (read) => {
        taken = this.#agent.takeBundle(read);
      },
    });
    await this.#file.start();
    await taken;
  }

  /** Held until the process is gone: it is live for as long as it drains. */
  async #claimInstance(): Promise<void> {
    const { authority, expectedId, folder, tokenFile } = this.#options.settings;
    const role = JSON.stringify([authority, expectedId, tokenFile]);
    const claim = await claimInstance({ folder, role, fresh: this.#instance });
    this.#instance = claim.name;
  }

  close(): void {
    this.#file?.close();
    this.#agent.close();
  }

  /** For the admin port. */
  state() {
    const { current } = this.mesh;
    const { authority } = this.#options.settings;
    return {
      id: current?.id ?? '',
      generation: current?.generation ?? 0,
      notAfter: current === undefined ? '' : new Date(current.notAfterMs).toISOString(),
      secondsLeft: this.secondsLeft,
      instance: this.#instance,
      authority: `${authority.host}:${authority.port}`,
      roots: this.#agent.bundle?.rootHashes ?? [],
      ownRoot: this.#agent.ownRoot,
      bundleHash: this.#agent.bundle?.hash ?? '',
      problem: this.#agent.problem,
    };
  }

  /** Until the certificate ends; 0 when it has ended, or there is none. */
  get secondsLeft(): number {
    const { current } = this.mesh;
    if (current === undefined) return 0;
    return Math.max(0, Math.floor((current.notAfterMs - systemWallTime()) / 1000));
  }

  /** Attempts to get a certificate since start, by result. */
  get counts() {
    return this.#agent.counts;
  }
}

async function checkThere(flag: string, path: string): Promise<void> {
  try {
    await stat(path);
  } catch (error) {
    throw new StartError(`${flag}: ${path} cannot be read (${codeOf(error)})`);
  }
}

async function readToken(path: string): Promise<Secret | { readonly problem: string }> {
  try {
    const { size } = await stat(path);
    if (size > agentLimits.tokenBytesMax)
      return { problem: `--token ${path} is no token: too long` };
    const token = (await readFile(path, 'utf8')).trim();
    // It becomes a header: a second line would be a second header.
    if (/^[\x21-\x7e]+$/.test(token)) return new Secret(token);
    return { problem: `--token ${path} ${token === '' ? 'is empty' : 'holds more than a token'}` };
  } catch (error) {
    return { problem: `--token ${path} cannot be read (${codeOf(error)})` };
  }
}
