import { mkdir, writeFile } from 'node:fs/promises';
import { join } from 'node:path';

import type { Child } from '../../harness/child.ts';
import type { Host } from '../../harness/namespaces.ts';
import { waitFor } from '../../harness/wait.ts';

const PORT = 8080;

/** Options of {@link Nginx}. */
export interface NginxInit {
  /** Default {@link PORT}. Each nginx of a host has one of its own. */
  readonly port?: number;
  /** Serves by TLS. Default: plain HTTP. */
  readonly tls?: { readonly cert: string; readonly key: string };
  /** Bytes a second of each connection, after the first MiB. Default: no limit. */
  readonly connectionRate?: number;
}

/** nginx on a host, to be compared with: it serves files, or passes requests on to another one. */
export class Nginx implements AsyncDisposable {
  readonly origin: string;
  readonly #child: Child;

  private constructor(origin: string, child: Child) {
    this.origin = origin;
    this.#child = child;
  }

  /** Serves the files of a folder by `sendfile`, as Debian's own configuration does. */
  static serve(host: Host, folder: string, init: NginxInit = {}): Promise<Nginx> {
    return Nginx.#start(host, `root ${folder}; ${limitOf(init)}`, init);
  }

  /**
   * `proxy_pass` with connections that stay open. Nothing of it goes through the disk, as it would by default
   * when the client is the slower one: that is slower still.
   */
  static proxy(host: Host, origin: string, init: NginxInit = {}): Promise<Nginx> {
    const { host: server, protocol } = new URL(origin);
    return Nginx.#start(
      host,
      `location / { proxy_pass ${protocol}//origin; proxy_http_version 1.1;
        proxy_set_header Connection ""; proxy_max_temp_file_size 0; ${limitOf(init)} }`,
      init,
      `upstream origin { server ${server}; keepalive 16; }`,
    );
  }

  static async #start(
    host: Host,
    server: string,
    { port = PORT, tls }: NginxInit,
    more = '',
  ): Promise<Nginx> {
    const folder = join(host.directory, `nginx-${port}`);
    const certificate =
      tls === undefined ? '' : `ssl_certificate ${tls.cert}; ssl_certificate_key ${tls.key};`;
    await mkdir(folder);
    const config = join(folder, 'nginx.conf');
    // Blobs are root's. As many workers as there are processors is what Debian's configuration has.
    await writeFile(
      config,
      `user root; worker_processes auto; pid ${folder}/pid; error_log stderr; daemon off;
events { worker_connections 1024; }
http {
  access_log off; sendfile on; tcp_nopush on; default_type application/octet-stream;
  ${['client_body', 'proxy', 'fastcgi', 'uwsgi', 'scgi'].map((name) => `${name}_temp_path ${folder}/${name};`).join(' ')}
  ${more}
  server { listen ${port}${tls === undefined ? '' : ' ssl'}; ${certificate} ${server} }
}
`,
    );
    const child = host.start(`nginx-${port}`, { command: ['nginx', '-c', config] });
    const scheme = tls === undefined ? 'http' : 'https';
    const nginx = new Nginx(`${scheme}://${host.address}:${port}`, child);
    await waitFor('nginx answers', async () => {
      if (!child.isRunning) throw new Error(await child.logTail());
      await host.execute(['curl', '-sk', '-o', '/dev/null', `${nginx.origin}/`]);
      return true;
    });
    return nginx;
  }

  get pid(): number {
    return this.#child.pid;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#child.stop();
  }
}

function limitOf({ connectionRate }: NginxInit): string {
  if (connectionRate === undefined) return '';
  return `limit_rate ${Math.round(connectionRate)}; limit_rate_after 1m;`;
}
