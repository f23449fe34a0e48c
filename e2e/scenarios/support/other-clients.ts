import assert from 'node:assert/strict';
import { mkdir, readdir, readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';

import { Client } from 'undici';

import type { Child } from '../../harness/child.ts';
import type { ClientName, ClientPrograms } from '../../harness/client-programs.ts';
import type { ClusterNode } from '../../harness/cluster.ts';
import { documentedFile } from '../../harness/documented-file.ts';
import { waitFor } from '../../harness/wait.ts';
import { hostPlatform, type BuiltImage } from '../../images/image.ts';

const PAGE = 'CLIENTS.md';
const MIRRORS = '/etc/containers/registries.conf.d/peerglass.conf';

/** What a client is made with. */
interface ClientInit {
  readonly node: ClusterNode;
  readonly program: string;
  readonly programs: ClientPrograms;
  /** A folder of its own, whose path is short enough for a socket. */
  readonly folder: string;
}

/** A client without containerd's way to the next host, on a node. */
export interface OtherClient extends AsyncDisposable {
  readonly name: ClientName;
  /** Pulls the image as one that it has never seen, and asserts that all of it came. */
  pull(image: BuiltImage): Promise<void>;
}

/** Each client, with the file or the command that docs/CLIENTS.md has for it. */
export const CLIENTS: Readonly<Record<ClientName, (init: ClientInit) => Promise<OtherClient>>> = {
  async skopeo({ node, program, programs: { env }, folder }) {
    const mirrors = join(folder, 'mirrors.conf');
    await writeFile(mirrors, await documentedFile(PAGE, MIRRORS));
    let copies = 0;
    return {
      name: 'skopeo',
      async pull(image) {
        const to = join(folder, `copy-${(copies += 1)}`);
        await run(node, env, [
          ...([program, '--insecure-policy', '--registries-conf', mirrors] as const),
          ...['copy', '--all', `docker://${image.name}`, `dir:${to}`],
        ]);
        const files = await readdir(to);
        for (const { digest, size } of layersOf(image)) {
          const name = digest.replace('sha256:', '');
          assert.ok(files.includes(name), `${name} of ${size} bytes`);
          assert.equal((await readFile(join(to, name))).length, size);
        }
      },
      ...nothingToEnd,
    };
  },

  async podman({ node, program, programs, folder }) {
    const paths = {
      mirrors: join(folder, 'mirrors.conf'),
      policy: join(folder, 'policy.json'),
      config: join(folder, 'containers.conf'),
    };
    await writeFile(paths.mirrors, await documentedFile(PAGE, MIRRORS));
    await writeFile(paths.policy, '{"default":[{"type":"insecureAcceptAnything"}]}');
    // What a package installs has its place in the folder of the packages here.
    const conmon = ['conmon_path = [', `"${programs.root}/usr/bin/conmon",`, '"/usr/bin/conmon"]'];
    const engine = ['events_logger = "none"', 'cgroup_manager = "cgroupfs"', conmon.join('')];
    await writeFile(paths.config, `[engine]\n${engine.join('\n')}\n`);
    const env = {
      ...programs.env,
      HOME: folder,
      CONTAINERS_CONF: paths.config,
      CONTAINERS_REGISTRIES_CONF: paths.mirrors,
    };
    const store = ['--root', `${folder}/root`, '--runroot', `${folder}/run`];
    const podman = (...words: string[]): Promise<string> =>
      run(node, env, [program, ...store, '--storage-driver', 'vfs', ...words]);
    return {
      name: 'podman',
      async pull(image) {
        await podman('pull', '-q', '--signature-policy', paths.policy, image.name);
        // podman has checked each layer against the config of the image.
        const id = await podman('image', 'inspect', '--format', '{{.Id}}', image.name);
        assert.equal(`sha256:${id.trim()}`, configOf(image));
        await podman('rmi', image.name);
      },
      ...nothingToEnd,
    };
  },

  async crane({ node, program, programs: { env }, folder }) {
    const command = (await documentedFile(PAGE, 'crane pull')).trim();
    return {
      name: 'crane',
      async pull({ name, ...image }) {
        const file = join(folder, 'image.tar');
        const [path = ''] = /[^/]+\/[^:]+:.*$/.exec(name) ?? [];
        const words = command
          .replace('docker.io/library/nginx:1.27', path)
          .replace('nginx.tar', file)
          .replace(/^crane /, '');
        assert.ok(words.includes(`/${name} `), words);
        await run(node, env, [program, ...words.split(' ')]);
        const list = await run(node, {}, ['tar', '-xOf', file, 'manifest.json']);
        const [{ Config: config }] = JSON.parse(list) as [{ Config: string }];
        assert.equal(config, configOf(image));
      },
      ...nothingToEnd,
    };
  },

  async dockerd({ node, program, programs: { env }, folder }) {
    const file = join(folder, 'daemon.json');
    await writeFile(file, await documentedFile(PAGE, '/etc/docker/daemon.json'));
    await mkdir(join(folder, 'root'));
    const socketPath = join(folder, 'docker.sock');
    const daemon = node.host.start('dockerd', {
      command: [
        ...([program, '--config-file', file, '--host', `unix://${socketPath}`] as const),
        ...['--data-root', `${folder}/root`, '--exec-root', `${folder}/run`],
        ...['--pidfile', `${folder}/pid`, '--containerd', node.containerd.socket],
        ...['--storage-driver', 'vfs', '--bridge', 'none', '--iptables=false'],
        ...['--ip6tables=false'],
      ],
      env,
    });
    return await Docker.start(daemon, socketPath);
  },
};

/** The Docker daemon, by its API. */
class Docker implements OtherClient {
  readonly name = 'dockerd';
  readonly #daemon: Child;
  readonly #api: Client;

  private constructor(daemon: Child, socketPath: string) {
    this.#daemon = daemon;
    this.#api = new Client('http://docker', { socketPath });
  }

  static async start(daemon: Child, socketPath: string): Promise<Docker> {
    const docker = new Docker(daemon, socketPath);
    await waitFor('dockerd is up', async () => {
      if (!daemon.isRunning) throw new Error(await daemon.logTail(5));
      return (await docker.#ask('GET', '/_ping')) === 'OK';
    });
    return docker;
  }

  async pull(image: BuiltImage): Promise<void> {
    const name = encodeURIComponent(image.name);
    // A pull that fails is told in the last line of an answer with status 200.
    const told = await this.#ask('POST', `/images/create?fromImage=${name}`);
    assert.ok(!told.includes('"error"'), told.trim().split('\n').at(-1));
    const inspected = await this.#ask('GET', `/images/${name}/json`);
    assert.equal((JSON.parse(inspected) as { Id: string }).Id, configOf(image));
    await this.#ask('DELETE', `/images/${name}`);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#api.destroy();
    await this.#daemon.stop();
  }

  async #ask(method: 'GET' | 'POST' | 'DELETE', path: string): Promise<string> {
    const { statusCode, body } = await this.#api.request({ method, path });
    const text = await body.text();
    assert.ok(statusCode < 300, `${method} ${path}: ${statusCode} ${text}`);
    return text;
  }
}

const nothingToEnd = { [Symbol.asyncDispose]: () => Promise.resolve() };

function run(
  { host }: ClusterNode,
  env: Readonly<Record<string, string>>,
  words: readonly [string, ...string[]],
): Promise<string> {
  const variables = Object.entries(env).map(([name, value]) => `${name}=${value}`);
  return host.execute(['env', ...variables, ...words]);
}

function layersOf({
  manifests,
}: Pick<BuiltImage, 'manifests'>): { digest: string; size: number }[] {
  return manifests.flatMap(({ layers }) => layers.map(({ descriptor }) => descriptor));
}

/** The digest of the config for this machine, which clients take for the ID of the image. */
function configOf({ manifests }: Pick<BuiltImage, 'manifests'>): string {
  const { architecture } = hostPlatform();
  const own = manifests.find(({ platform }) => platform.architecture === architecture);
  assert.ok(own);
  return own.config.digest;
}
