import { execFile } from 'node:child_process';
import { mkdir, readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { promisify } from 'node:util';

import { Authority } from './certificates.ts';

const run = promisify(execFile);

/** Where k3s keeps the certificates of a node, below its root. */
const FOLDER = 'var/lib/rancher/k3s/agent';

/** The files of a node that its embedded mirror uses: with which it serves, and which it shows. */
const PAIRS = { serving: 'serving-kubelet', client: 'client-k3s-controller' } as const;

/**
 * The two authorities of a k3s cluster, and the files of its nodes: names, file format and content are those that k3s writes (its
 * `pkg/agent/config/config.go`). A certificate is followed by that of its authority, keys are of SEC 1 ("EC PRIVATE KEY"),
 * serving certificates name the node, `localhost`, both loopback addresses and the addresses of the node, and client
 * certificates name nothing. Each certificate is for one of the two uses only.
 */
export class K3sCertificates implements AsyncDisposable {
  readonly servers: Authority;
  readonly clients: Authority;

  private constructor(servers: Authority, clients: Authority) {
    this.servers = servers;
    this.clients = clients;
  }

  static async create(): Promise<K3sCertificates> {
    const [servers, clients] = [
      await Authority.create('k3s-server-ca@1700000000'),
      await Authority.create('k3s-client-ca@1700000000'),
    ];
    return new K3sCertificates(servers, clients);
  }

  /**
   * Writes the files of a node.
   *
   * @returns the folder that has them
   */
  async node(root: string, name: string, ip: string): Promise<string> {
    const folder = join(root, FOLDER);
    await mkdir(folder, { recursive: true });
    await writeFile(join(folder, 'server-ca.crt'), await readFile(this.servers.ca));
    await writeFile(join(folder, 'client-ca.crt'), await readFile(this.clients.ca));
    const names = `DNS:${name},DNS:localhost,IP:127.0.0.1,IP:::1,IP:${ip}`;
    const serving = { names, commonName: name, usage: 'serverAuth' } as const;
    await write(this.servers, await this.servers.issue(name, serving), folder, PAIRS.serving);
    const client = { names: '', commonName: 'system:k3s-controller', usage: 'clientAuth' } as const;
    await write(this.clients, await this.clients.issue(name, client), folder, PAIRS.client);
    return folder;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.servers[Symbol.asyncDispose]();
    await this.clients[Symbol.asyncDispose]();
  }
}

/** The options of an agent that uses the files of k3s as the mirror embedded there does. */
export function k3sFlags(folder: string): string[] {
  return [
    ...['--registry-tls-cert', join(folder, `${PAIRS.serving}.crt`)],
    ...['--registry-tls-key', join(folder, `${PAIRS.serving}.key`)],
    ...['--registry-tls-ca', join(folder, 'server-ca.crt')],
    ...['--registry-tls-client-auth', 'require'],
    ...['--registry-tls-client-ca', join(folder, 'client-ca.crt')],
    ...['--registry-tls-client-cert', join(folder, `${PAIRS.client}.crt`)],
    ...['--registry-tls-client-key', join(folder, `${PAIRS.client}.key`)],
  ];
}

async function write(
  authority: Authority,
  { cert, key }: { readonly cert: string; readonly key: string },
  folder: string,
  name: string,
): Promise<void> {
  const chain = [await readFile(cert), await readFile(authority.ca)];
  await writeFile(join(folder, `${name}.crt`), Buffer.concat(chain), { mode: 0o600 });
  await run('openssl', ['pkey', '-in', key, '-traditional', '-out', join(folder, `${name}.key`)]);
}
