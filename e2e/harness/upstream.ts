import { createReadStream } from 'node:fs';
import { mkdir, readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';

import type { RequestInit, Response } from 'undici';

import { blobPath, type Descriptor } from '../../scripts/oci-image/oci-layout.ts';
import { execute, type Child } from './child.ts';
import type { User } from './cri.ts';
import type { Host } from './namespaces.ts';
import { waitFor } from './wait.ts';

const PORT = 5000;

/** A request that the registry has answered, from its access log. */
export interface UpstreamRequest {
  /** Address of the client. */
  readonly from: string;
  readonly method: string;
  readonly path: string;
  readonly status: number;
}

/** An image, as far as it matters to who pushes it. */
export interface PushedImage {
  /** `REGISTRY/REPOSITORY:TAG`. */
  readonly name: string;
  readonly target: Descriptor;
  readonly manifests: readonly {
    readonly descriptor: Descriptor;
    readonly config: Descriptor;
    readonly layers: readonly { readonly descriptor: Descriptor }[];
  }[];
}

/** A real registry (distribution, from Debian) on a host of the test network, over plain HTTP. */
export class Upstream implements AsyncDisposable {
  readonly host: Host;
  /** What image names begin with: `10.214.0.2:5000`. */
  readonly registry: string;
  readonly origin: string;
  readonly #child: Child;
  readonly #headers: Readonly<Record<string, string>>;

  private constructor(host: Host, child: Child, user?: User) {
    this.host = host;
    this.registry = `${host.address}:${PORT}`;
    this.origin = `http://${this.registry}`;
    this.#child = child;
    this.#headers =
      user === undefined
        ? {}
        : { authorization: `Basic ${btoa(`${user.username}:${user.password}`)}` };
  }

  /** @param user who may use the registry. Default: everybody */
  static async start(host: Host, user?: User): Promise<Upstream> {
    const storage = join(host.directory, 'registry');
    await mkdir(storage);
    const config = join(host.directory, 'registry.yml');
    await writeFile(
      config,
      JSON.stringify({
        version: '0.1',
        log: { level: 'warn' },
        storage: {
          // As in Debian's own configuration: without it, it is slower.
          cache: { blobdescriptor: 'inmemory' },
          filesystem: { rootdirectory: storage },
          maintenance: { uploadpurging: { enabled: false } },
        },
        http: { addr: `:${PORT}` },
        ...(user !== undefined && { auth: await onlyFor(user, host) }),
      }),
    );
    const child = host.start('registry', {
      command: ['docker-registry', 'serve', config],
      env: { OTEL_TRACES_EXPORTER: 'none' },
    });
    const upstream = new Upstream(host, child, user);
    await waitFor('the upstream registry is up', async () => {
      return [200, 401].includes((await host.fetch(`${upstream.origin}/v2/`)).status);
    });
    return upstream;
  }

  get pid(): number {
    return this.#child.pid;
  }

  /** Puts the image from the layout into the registry, under the repository and tag of its name. */
  async push(layout: string, image: PushedImage): Promise<void> {
    const { repository, tag } = this.#split(image.name);
    const documents = new Map<string, Descriptor>();
    for (const { descriptor, config, layers } of image.manifests) {
      for (const blob of [config, ...layers.map((layer) => layer.descriptor)]) {
        await this.#pushBlob(layout, repository, blob);
      }
      documents.set(descriptor.digest, descriptor);
    }
    for (const descriptor of documents.values()) {
      await this.#pushManifest(layout, repository, descriptor.digest, descriptor);
    }
    await this.#pushManifest(layout, repository, tag, image.target);
  }

  /** All requests so far, oldest first, but for those of this class's own host. */
  async requests(): Promise<UpstreamRequest[]> {
    const log = await readFile(this.#child.logFile, 'utf8');
    const pattern = /^(\S+) - - \[[^\]]*\] "(\S+) (\S+) [^"]*" (\d+) /gm;
    return [...log.matchAll(pattern)]
      .map(([, from = '', method = '', path = '', status]) => {
        return { from, method, path, status: Number(status) };
      })
      .filter(({ from }) => from !== this.host.address);
  }

  /** Ends the registry, so that it is unreachable from now on. */
  async stop(): Promise<void> {
    await this.#child.stop();
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.stop();
  }

  #split(name: string): { repository: string; tag: string } {
    const match = new RegExp(`^${RegExp.escape(this.registry)}/(.+):([^:]+)$`).exec(name);
    if (match === null) throw new Error(`${name} is not a name in ${this.registry}`);
    const [, repository = '', tag = ''] = match;
    return { repository, tag };
  }

  async #pushBlob(layout: string, repository: string, blob: Descriptor): Promise<void> {
    const start = await this.#send('POST', `${this.origin}/v2/${repository}/blobs/uploads/`, 202);
    const url = new URL(start.headers.get('location') ?? '', this.origin);
    url.searchParams.set('digest', blob.digest);
    await this.#send('PUT', url.href, 201, {
      headers: { 'content-type': 'application/octet-stream', 'content-length': String(blob.size) },
      body: createReadStream(blobPath(layout, blob.digest), { highWaterMark: 1 << 20 }),
      duplex: 'half',
    });
  }

  async #pushManifest(
    layout: string,
    repository: string,
    reference: string,
    { digest, mediaType }: Descriptor,
  ): Promise<void> {
    await this.#send('PUT', `${this.origin}/v2/${repository}/manifests/${reference}`, 201, {
      headers: { 'content-type': mediaType },
      body: await readFile(blobPath(layout, digest)),
    });
  }

  async #send(
    method: string,
    url: string,
    status: number,
    init: Omit<RequestInit, 'headers'> & { headers?: Readonly<Record<string, string>> } = {},
  ): Promise<Response> {
    const headers = { ...init.headers, ...this.#headers };
    const response = await this.host.fetch(url, { ...init, method, headers });
    const text = await response.text();
    if (response.status !== status) throw new Error(`${method} ${url}: ${response.status} ${text}`);
    return response;
  }
}

/** The configuration by which a registry lets in one user only. It wants bcrypt, which the C library has, and so Perl. */
async function onlyFor({ username, password }: User, host: Host): Promise<object> {
  const salt = '$2y$05$abcdefghijklmnopqrstuu';
  const hash = await execute(['perl', '-e', 'print crypt($ARGV[0], $ARGV[1])', password, salt]);
  const path = join(host.directory, 'htpasswd');
  await writeFile(path, `${username}:${hash}\n`);
  return { htpasswd: { realm: 'test', path } };
}
