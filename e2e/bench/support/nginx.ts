import { mkdir, writeFile } from 'node:fs/promises';
import { join } from 'node:path';

import type { Child } from '../../harness/child.ts';
import type { Host } from '../../harness/namespaces.ts';
import { waitFor } from '../../harness/wait.ts';

const PORT = 8080;

/** nginx on a host, to be compared with: it serves files, or passes requests on to another one. */
export class Nginx implements AsyncDisposable {
  readonly origin: string;
  readonly #child: Child;

  private constructor(origin: string, child: Child) {
    this.origin = origin;
    this.#child = child;
  }

  /** Serves the files of a folder by `sendfile`, as Debian's own configuration does. */
  static serve(host: Host, folder: string): Promise<Nginx> {
    return Nginx.#start(host, `root ${folder};`);
  }

  /**
   * `proxy_pass` with connections that stay open. Nothing of it goes through the disk, as it would by default
   * when the client is the slower one: that is slower still.
   */
  static proxy(host: Host, origin: string): Promise<Nginx> {
    return Nginx.#start(
      host,
      `location / { proxy_pass http://origin; proxy_http_version 1.1;
        proxy_set_header Connection ""; proxy_max_temp_file_size 0; }`,
      `upstream origin { server ${new URL(origin).host}; keepalive 16; }`,
    );
  }

  static async #start(host: Host, server: string, more = ''): Promise<Nginx> {
    const folder = join(host.directory, 'nginx');
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
  server { listen ${PORT}; ${server} }
}
`,
    );
    const child = host.start('nginx', { command: ['nginx', '-c', config] });
    const nginx = new Nginx(`http://${host.address}:${PORT}`, child);
    await waitFor('nginx answers', async () => {
      if (!child.isRunning) throw new Error(await child.logTail());
      const response = await host.fetch(`${nginx.origin}/`);
      await response.body?.cancel();
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
