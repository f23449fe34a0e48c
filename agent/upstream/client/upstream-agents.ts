import { createHash } from 'node:crypto';
import { lookup } from 'node:dns/promises';
import type { LookupFunction } from 'node:net';
import { createSecureContext, getCACertificates, type ConnectionOptions } from 'node:tls';

import { LRUCache } from 'lru-cache';
import { Agent, buildConnector, type Dispatcher } from 'undici';

import { codeOf } from '../../errors/system-error.ts';
import { readSmallFile } from '../../files/small-file.ts';
import type { RegistryTls } from '../../hosts/registries/registries.ts';
import { DirectClient } from '../../transfer/client/direct/direct-client.ts';
import { UpstreamError } from '../upstream-error.ts';
import type { UpstreamEndpoint } from '../where/upstream-endpoints.ts';
import { proxyConnector, type ProxyConnectorInit } from './proxy-connector.ts';
import { addressClass, guardedLookup, literalAddress, type AddressClass } from './address-class.ts';

/** Connections to one host; more requests than that wait for a free one. Blobs have as many connections of their own. */
const MAX_CONNECTIONS = 64;
/** Endpoints that keep connections; those of the one that was used longest ago are closed beyond it. */
const MAX_ENDPOINTS = 64;
/** Largest head of an answer, in bytes. Addresses of storage are signed and long. */
const MAX_HEADER_BYTES = 32 * 1024;
/** Largest file with a certificate or a key, in bytes. */
const MAX_FILE_BYTES = 1024 * 1024;
/** Between two reads of these files, in milliseconds. */
const FILES_MS = 10_000;
/** How long it is remembered where an endpoint is, in milliseconds. */
const PLACE_MS = 30_000;

/** Options of {@link UpstreamAgents}. Times are in milliseconds. */
export interface UpstreamAgentsInit {
  readonly connectTimeout: number;
  /** Longest time between two chunks of a body while we wait for the next. */
  readonly silence: number;
  /** Between two reads of the files with certificates and keys of an endpoint that is used. Default 10,000. */
  readonly filesInterval?: number;
  /** See {@link ProxyConnectorInit}. Default: there is no proxy. */
  readonly proxyFor?: ProxyConnectorInit['proxyFor'] | undefined;
}

/** The connections of one endpoint. */
interface EndpointAgents {
  /** What they are made with. */
  readonly files: Files;
  readAt: number;
  /** To the endpoint itself, with its certificates. */
  readonly own: Agent;
  /** To hosts that the endpoint names: storage and token servers. */
  readonly named: Agent;
  /** The same two for blobs. */
  readonly direct: Readonly<Record<'own' | 'named', DirectClient>>;
  /** Where these may be; see {@link UpstreamAgents.for}. */
  allowed: ReadonlySet<AddressClass>;
  checkedAt: number;
}

/** Connections with registries, and with the hosts that they name. */
export class UpstreamAgents {
  readonly #init: UpstreamAgentsInit;
  readonly #endpoints = new LRUCache<string, Promise<EndpointAgents>>({
    max: MAX_ENDPOINTS,
    dispose: (agents) => {
      void agents.then(close, () => undefined);
    },
  });

  constructor(init: UpstreamAgentsInit) {
    this.#init = init;
  }

  /**
   * The connections for a URL that the endpoint is at, or that it has named. Hosts that it names are asked at public
   * addresses, and in the kinds of networks that the endpoint itself is in: a registry on the internet must not send
   * this node to its own services.
   *
   * @throws UpstreamError `connect` for certificates that cannot be read, `redirect` for an address that is not asked
   */
  async for(endpoint: UpstreamEndpoint, url: URL): Promise<Dispatcher> {
    const agents = await this.#of(endpoint);
    return agents[await this.#whose(agents, endpoint, url)];
  }

  /**
   * The same for a blob. It goes by a client of our own: by http the kernel may move its body, and by https that comes in larger
   * chunks than undici gives. Undefined behind a proxy. Whether it has a free connection, the caller asks in the moment of its request.
   *
   * @throws as {@link for}
   */
  async direct(endpoint: UpstreamEndpoint, url: URL): Promise<DirectClient | undefined> {
    if (this.#init.proxyFor?.(url) !== undefined) return undefined;
    const agents = await this.#of(endpoint);
    return agents.direct[await this.#whose(agents, endpoint, url)];
  }

  /** @throws UpstreamError as {@link for} */
  async #whose(
    agents: EndpointAgents,
    endpoint: UpstreamEndpoint,
    url: URL,
  ): Promise<'own' | 'named'> {
    if (isSameOrigin(url, endpoint.base)) return 'own';
    if (performance.now() - agents.checkedAt > PLACE_MS) {
      agents.allowed = await classesNear(endpoint.base.hostname);
      agents.checkedAt = performance.now();
    }
    const literal = literalAddress(url.hostname);
    if (literal !== undefined && !agents.allowed.has(addressClass(literal))) {
      throw new UpstreamError(
        'redirect',
        `${endpoint.base.host} names ${url.host}, which is not asked`,
      );
    }
    return 'named';
  }

  /** Ends every connection, requests in progress included. */
  async close(): Promise<void> {
    const all = [...this.#endpoints.values()];
    await Promise.all(
      all
        .map(async (agents) => {
          const { own, named, direct } = await agents;
          for (const client of Object.values(direct)) client.close();
          await Promise.all([own.destroy(), named.destroy()]);
        })
        .map((it) => it.catch(() => undefined)),
    );
  }

  async #of(endpoint: UpstreamEndpoint): Promise<EndpointAgents> {
    const { registry, base, tls } = endpoint;
    const key = `${registry} ${base.href} ${JSON.stringify(tls ?? null)}`;
    const known = this.#endpoints.get(key);
    if (known !== undefined) {
      const agents = await known;
      const changed = await this.#changedFiles(agents, tls);
      if (changed === undefined) return agents;
      // Bodies in progress end with the connections of before, which close then.
      const renewed = Promise.resolve(this.#make(changed));
      this.#endpoints.set(key, renewed);
      return await renewed;
    }
    const made = readFiles(tls).then((files) => this.#make(files));
    this.#endpoints.set(key, made);
    try {
      return await made;
    } catch (error) {
      // The files may be there the next time.
      if (this.#endpoints.peek(key) === made) this.#endpoints.delete(key);
      throw error;
    }
  }

  /** The files where they have changed. Ones that cannot be used any more may just be renewed, one after another. */
  async #changedFiles(
    agents: EndpointAgents,
    tls: RegistryTls | undefined,
  ): Promise<Files | undefined> {
    const { filesInterval = FILES_MS } = this.#init;
    const { files } = agents;
    const now = performance.now();
    const isNamed = [tls?.caFile, tls?.certFile, tls?.keyFile].some((it) => it !== undefined);
    if (!isNamed || now - agents.readAt < filesInterval) return undefined;
    agents.readAt = now;
    const read = await readFiles(tls).catch(() => files);
    return read.fingerprint === files.fingerprint || !isUsable(read) ? undefined : read;
  }

  #make(files: Files): EndpointAgents {
    const { ca, cert, key, isUnverified } = files;
    const trust = { ...(ca !== undefined && { ca }) };
    const lookup = guardedLookup(() => agents.allowed);
    // A client certificate is for the endpoint only, and so is what is not verified.
    const own = {
      ...trust,
      ...(cert && key && { cert, key }),
      rejectUnauthorized: !isUnverified,
    };
    const agents: EndpointAgents = {
      files,
      readAt: performance.now(),
      own: this.#agent(own),
      named: this.#agent({ ...trust, lookup }),
      direct: { own: this.#direct(own), named: this.#direct(trust, lookup) },
      allowed: new Set(),
      checkedAt: -Infinity,
    };
    return agents;
  }

  #direct(tls: ConnectionOptions, lookup?: LookupFunction): DirectClient {
    const { connectTimeout, silence } = this.#init;
    return new DirectClient({
      ...{ tls, connectTimeout, stallTimeout: silence, lookup },
      ...{ maxConnections: MAX_CONNECTIONS, maxHeaderBytes: MAX_HEADER_BYTES },
      takesUnsized: true,
    });
  }

  #agent(connect: buildConnector.BuildOptions): Agent {
    const { connectTimeout, silence, proxyFor } = this.#init;
    // A blob gets a connection of its own: with HTTP/2 all bodies wait for the one that is read slowest.
    const options = { ...connect, timeout: connectTimeout, allowH2: false };
    return new Agent({
      connections: MAX_CONNECTIONS,
      maxHeaderSize: MAX_HEADER_BYTES,
      // Each request has its own time for the head of its answer.
      headersTimeout: 0,
      bodyTimeout: silence,
      allowH2: false,
      connect:
        proxyFor === undefined
          ? options
          : proxyConnector(buildConnector(options), { proxyFor, timeout: connectTimeout }),
    });
  }
}

/** Whether both have the same scheme, host and port. */
export function isSameOrigin(one: URL, other: URL): boolean {
  return one.origin === other.origin;
}

async function close(agents: EndpointAgents): Promise<void> {
  for (const client of Object.values(agents.direct)) client.retire();
  await Promise.all([agents.own.close(), agents.named.close()]);
}

async function classesNear(hostname: string): Promise<ReadonlySet<AddressClass>> {
  const literal = literalAddress(hostname);
  const found =
    literal === undefined
      ? await lookup(hostname, { all: true }).catch(() => [])
      : [{ address: literal }];
  const classes = new Set<AddressClass>(found.map(({ address }) => addressClass(address)));
  classes.delete('reserved');
  return classes.add('public');
}

interface Files {
  readonly ca: string[] | undefined;
  readonly cert: Buffer | undefined;
  readonly key: Buffer | undefined;
  readonly isUnverified: boolean;
  /** Of all files, to see a change. */
  readonly fingerprint: string;
}

/** Whether they are whole, and the key is that of the certificate. */
function isUsable({ ca, cert, key }: Files): boolean {
  const own = ca?.at(-1);
  const count = (mark: RegExp): number => own?.match(mark)?.length ?? 0;
  // OpenSSL passes over a certificate that has no end.
  if (count(/-----BEGIN /g) !== count(/-----END [^-]+-----/g)) return false;
  if (own !== undefined && count(/-----BEGIN /g) === 0) return false;
  try {
    createSecureContext({ ca, ...(cert && key && { cert, key }) });
    return true;
  } catch {
    return false;
  }
}

async function readFiles(tls: RegistryTls | undefined): Promise<Files> {
  const read = async (name: string, path: string | undefined): Promise<Buffer | undefined> => {
    if (path === undefined) return undefined;
    try {
      return await readSmallFile(path, MAX_FILE_BYTES);
    } catch (error) {
      const why = codeOf(error) ?? 'unknown';
      throw new UpstreamError(
        'connect',
        `${name} ${path} of registries.yaml cannot be read (${why})`,
      );
    }
  };
  const ca = await read('ca_file', tls?.caFile);
  const cert = await read('cert_file', tls?.certFile);
  const key = await read('key_file', tls?.keyFile);
  const hash = createHash('sha256');
  for (const file of [ca, cert, key]) hash.update(file ?? '').update('\0');
  return {
    // As in containerd, beside the authorities of the system.
    ca: ca && [...getCACertificates('default'), ca.toString()],
    ...{ cert, key, fingerprint: hash.digest('hex') },
    isUnverified: tls?.insecureSkipVerify === true,
  };
}
