import type { HostPort } from '../config/values.ts';
import { DEFAULT_FOLDER } from '../hosts/hosts-toml.ts';
import { ContainerdClient } from '../store/containerd/client.ts';
import { Deadline } from '../timing/deadline.ts';
import { AgentClient, type AgentPeer, type AgentReadiness } from './agent-client.ts';
import { readCertsFolder, type RegistryFile } from './certs-folder.ts';
import { criStatus, type CriStatus } from './containerd/cri-client.ts';
import { effectiveConfig, type EffectiveConfig } from './containerd/effective-config.ts';
import { certsFolderOf, findSocket } from './containerd/distributions.ts';
import { mayOpen, processBehind, type RunningProcess } from './containerd/process.ts';
import { at } from './json.ts';
import { readRegistriesYaml, type RegistriesYaml } from './registries-yaml.ts';
import { readRegularFile } from './regular-file.ts';
import { CheckSkippedError } from './report.ts';

/** What the doctor is told; empty text stands for "find it". */
export interface FactsInit {
  readonly socketPath: string;
  readonly namespace: string;
  /** Folder of hosts.toml files. */
  readonly certsFolder: string;
  /** containerd's configuration file. */
  readonly configFile: string;
  /** URLs under which containerd knows the agent. */
  readonly mirrorTargets: readonly string[];
  /** Registries that are to have a file of their own; none: `_default`. */
  readonly registries: readonly string[];
  readonly metricsAddress: HostPort;
  readonly routerPort: number;
  /** Configuration file of k3s or RKE2. */
  readonly k3sConfig: string;
  /** registries.yaml of k3s: a path, `auto` to look for it, `off` for none. */
  readonly registriesYaml: string;
  /** Files with which the agent serves by TLS. */
  readonly tls: { readonly cert: string; readonly key: string; readonly ca: string };
}

/** PEM of a certificate and its key. */
export interface ClientIdentity {
  readonly cert: string;
  readonly key: string;
}

/** How long a question to containerd may take, in milliseconds. */
const CALL_MS = 2_000;

/**
 * What is so on this node. Every fact is found out when the first check asks for it, and once; one that cannot be
 * found out is thrown as CouldNotLook to all who ask.
 */
export class Facts implements Disposable {
  readonly init: FactsInit;
  readonly socketPath: string;
  readonly agent: AgentClient;
  readonly containerd: ContainerdClient;
  readonly version: () => Promise<string>;
  readonly cri: () => Promise<CriStatus>;
  /** containerd's process. */
  readonly process: () => Promise<RunningProcess>;
  readonly config: () => Promise<EffectiveConfig>;
  /** Folder of hosts.toml files that is ours to look at. */
  readonly certsFolder: string;
  readonly files: () => Promise<readonly RegistryFile[]>;
  /** k3s' registries.yaml; undefined where there is none. */
  readonly registriesYaml: () => Promise<RegistriesYaml | undefined>;
  readonly readiness: () => Promise<AgentReadiness>;
  readonly status: () => Promise<unknown>;
  readonly peers: () => Promise<readonly AgentPeer[]>;
  /** What this node shows to mirrors that want a certificate; `undefined` when it has none that can be read. */
  readonly identity: () => Promise<ClientIdentity | undefined>;

  constructor(init: FactsInit) {
    this.init = init;
    this.socketPath = init.socketPath === '' ? findSocket() : init.socketPath;
    this.certsFolder = init.certsFolder === '' ? certsFolderOf(this.socketPath) : init.certsFolder;
    this.agent = new AgentClient(init.metricsAddress);
    this.containerd = this.clientOf(init.namespace);
    this.version = once(async () => {
      using deadline = new Deadline(CALL_MS);
      await mayOpen(this.socketPath, deadline.signal);
      return await this.containerd.version(deadline.signal);
    });
    this.cri = once(async () => {
      await this.reachable();
      return await criStatus(this.socketPath, CALL_MS);
    });
    this.process = once(async () => {
      using deadline = new Deadline(CALL_MS);
      return await processBehind(this.socketPath, deadline.signal);
    });
    this.config = once(async () => {
      const cri = await this.cri().catch(becauseOf('containerd does not tell its configuration'));
      const file = init.configFile;
      return await effectiveConfig({ cri, process: this.process, ...(file !== '' && { file }) });
    });
    this.files = once(() => readCertsFolder(this.certsFolder));
    this.registriesYaml = once(() => readRegistriesYaml(init.registriesYaml));
    this.readiness = once(() => this.agent.readiness());
    this.status = once(() => this.agent.status());
    this.peers = once(() => this.agent.peers());
    this.identity = once(() => readIdentity(init.tls.cert, init.tls.key));
  }

  /** Another namespace of the same containerd; to be disposed of. */
  clientOf(namespace: string): ContainerdClient {
    return new ContainerdClient({ socketPath: this.socketPath, namespace, callTimeout: CALL_MS });
  }

  /** @throws CouldNotLook when containerd does not answer: another check says so */
  async reachable(): Promise<void> {
    await this.version().catch(becauseOf('containerd does not answer'));
  }

  /** Registries whose files are looked for: as told, else those that the agent shares, else `_default` alone. */
  async registries(): Promise<readonly string[]> {
    const told = this.init.registries;
    const shared =
      told.length > 0
        ? told
        : at(await this.status().catch(() => undefined), 'settings', 'registries');
    const names = Array.isArray(shared) ? shared.filter((it) => typeof it === 'string') : [];
    return names.length === 0 || names.includes('*') ? [DEFAULT_FOLDER] : names;
  }

  [Symbol.dispose](): void {
    this.containerd[Symbol.dispose]();
  }
}

async function readIdentity(cert: string, key: string): Promise<ClientIdentity | undefined> {
  if (cert === '' || key === '') return undefined;
  try {
    return { cert: await readRegularFile(cert), key: await readRegularFile(key) };
  } catch {
    return undefined;
  }
}

function once<T>(find: () => Promise<T>): () => Promise<T> {
  let found: Promise<T> | undefined;
  return () => (found ??= find());
}

function becauseOf(what: string): (error: unknown) => never {
  return (error) => {
    if (error instanceof CheckSkippedError) throw error;
    throw new CheckSkippedError(what, { cause: error });
  };
}
