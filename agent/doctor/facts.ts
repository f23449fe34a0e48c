import type { HostPort } from '../config/values.ts';
import { parseContainerdVersion, type ContainerdVersion } from '../hosts/containerd-version.ts';
import { DEFAULT_FOLDER } from '../hosts/hosts-toml.ts';
import { ContainerdClient } from '../store/containerd/client.ts';
import { Deadline } from '../timing/deadline.ts';
import { AgentClient, type AgentPeer, type AgentReadiness } from './agent-client.ts';
import { readCertsFolder, type MirrorMark, type RegistryFile } from './certs-folder.ts';
import { criStatus, type CriStatus } from './containerd/cri-client.ts';
import { effectiveConfig, type EffectiveConfig } from './containerd/effective-config.ts';
import { certsFolderOf, findSocket } from './containerd/distributions.ts';
import { mayOpen, processBehind, type RunningProcess } from './containerd/process.ts';
import { at, textAt } from './json.ts';
import { readRegistriesYaml, type RegistriesYaml } from './registries-yaml.ts';
import { readSmallText } from '../files/small-file.ts';
import { CheckSkippedError } from './report.ts';

/** Options of the doctor. An empty text means that the value is found out. */
export interface FactsInit {
  readonly socketPath: string;
  readonly namespace: string;
  /** Folder of hosts.toml files. */
  readonly certsFolder: string;
  /** containerd's configuration file. */
  readonly configFile: string;
  /** URLs under which containerd knows the agent. */
  readonly mirrorTargets: readonly string[];
  /** Registries that should have a file of their own, `_default` for all others; none: those that the agent shares. */
  readonly registries: readonly string[];
  readonly metricsAddress: HostPort;
  readonly routerPort: number;
  /** Configuration file of k3s or RKE2. */
  readonly k3sConfig: string;
  /** registries.yaml of k3s: a path, `auto` to find it, `off` for none. */
  readonly registriesYaml: string;
  /** Files with which the agent serves TLS, and the pair that it shows to peers where that is another one. */
  readonly tls: {
    readonly cert: string;
    readonly key: string;
    readonly ca: string;
    readonly clientCert?: string;
    readonly clientKey?: string;
  };
}

/** A certificate and its key in PEM form. */
export interface ClientIdentity {
  readonly cert: string;
  readonly key: string;
}

/** How long one call to containerd may take, in milliseconds. */
const CALL_MS = 2_000;

/**
 * Facts about this node. A fact is found out once, when the first check needs it. When it cannot be found out, every
 * check that needs it gets the same CheckSkippedError.
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
  /** The folder of hosts.toml files to check. */
  readonly certsFolder: string;
  readonly files: () => Promise<readonly RegistryFile[]>;
  /** registries.yaml of k3s; undefined when there is none. */
  readonly registriesYaml: () => Promise<RegistriesYaml | undefined>;
  readonly readiness: () => Promise<AgentReadiness>;
  readonly status: () => Promise<unknown>;
  readonly peers: () => Promise<readonly AgentPeer[]>;
  /** The client certificate for mirrors that require one; undefined when none can be read. */
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
      const cri = await this.cri().catch(becauseOf('containerd does not report its configuration'));
      const file = init.configFile;
      return await effectiveConfig({ cri, process: this.process, ...(file !== '' && { file }) });
    });
    this.files = once(async () =>
      readCertsFolder(this.certsFolder, await this.containerdVersion()),
    );
    this.registriesYaml = once(() => readRegistriesYaml(init.registriesYaml));
    this.readiness = once(() => this.agent.readiness());
    this.status = once(() => this.agent.status());
    this.peers = once(() => this.agent.peers());
    const { cert, key, clientCert = '', clientKey = '' } = init.tls;
    this.identity = once(() =>
      clientCert === '' ? readIdentity(cert, key) : readIdentity(clientCert, clientKey),
    );
  }

  /** Makes a client for another namespace, or another containerd. The caller disposes of it. */
  clientOf(namespace: string, socketPath = this.socketPath): ContainerdClient {
    return new ContainerdClient({ socketPath, namespace, callTimeout: CALL_MS });
  }

  /** Returns the namespace whose images the agent shares; that of the options when the agent does not answer. */
  async namespace(): Promise<string> {
    const status = await this.status().catch(() => undefined);
    return textAt(status, 'settings', 'namespace') ?? this.init.namespace;
  }

  /** @throws CheckSkippedError when containerd does not answer; the check `containerd-reachable` reports that */
  async reachable(): Promise<void> {
    await this.version().catch(becauseOf('containerd does not answer'));
  }

  /** Returns the version of containerd; undefined when unknown. */
  async containerdVersion(): Promise<ContainerdVersion | undefined> {
    return parseContainerdVersion(await this.version().catch(() => ''));
  }

  /** Returns how the mirror is recognised in a hosts.toml. */
  async mirrorMark(): Promise<MirrorMark> {
    const status = await this.status().catch(() => undefined);
    const settings = at(status, 'settings');
    const port = at(settings, 'mirrorPort') ?? at(settings, 'registryPort');
    return {
      targets: this.init.mirrorTargets,
      port: typeof port === 'number' ? port : undefined,
    };
  }

  /** Returns the registries to check: those of the options, else those that the agent shares, else `_default`. */
  async registries(): Promise<readonly string[]> {
    const named = this.init.registries;
    const shared =
      named.length > 0
        ? named
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
    return { cert: await readSmallText(cert), key: await readSmallText(key) };
  } catch {
    return undefined;
  }
}

function once<T>(find: () => Promise<T>): () => Promise<T> {
  let found: Promise<T> | undefined;
  return () => (found ??= find());
}

/** Makes a handler that throws a CheckSkippedError with this message, or the CheckSkippedError that it gets. */
function becauseOf(what: string): (error: unknown) => never {
  return (error) => {
    if (error instanceof CheckSkippedError) throw error;
    throw new CheckSkippedError(what, { cause: error });
  };
}
