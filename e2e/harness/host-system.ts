import { mkdir, writeFile } from 'node:fs/promises';
import { existsSync, readFileSync } from 'node:fs';
import { join } from 'node:path';

import type { Child } from './child.ts';
import type { ContainerdNode } from './containerd-node.ts';
import { only, serviceCommand, splitWords, type Unit } from './systemd-unit.ts';
import { waitFor } from './wait.ts';

/** Where a distribution has the files that the node's containerd keeps in the folder of the test. */
export interface Layout {
  /** Folder of the socket `containerd.sock`. */
  readonly run: string;
  readonly content: string;
  /** Folder that holds `certs.d`. */
  readonly config: string;
}

export const LAYOUTS = {
  plain: {
    run: '/run/containerd',
    content: '/var/lib/containerd',
    config: '/etc/containerd',
  },
  k3s: {
    run: '/run/k3s/containerd',
    content: '/var/lib/rancher/k3s/agent/containerd',
    config: '/var/lib/rancher/k3s/agent/etc/containerd',
  },
} as const satisfies Record<string, Layout>;

/** As systemd gives it to services of the system. */
const PATH = '/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin';

/**
 * Makes a root for the node: the machine's own /usr and /etc, over which it writes into folders of its own, and the
 * node's containerd where the layout has it. In a mount namespace of its own, so that nothing of it is seen elsewhere,
 * by what removes the test's folder for one.
 */
const MOUNT = `
cd "$1"
mkdir -p root upper/usr upper/etc work/usr work/etc
mount --bind root root
cd root
mkdir -p usr etc var/lib run tmp proc dev sys
for alias in bin sbin lib lib64; do
  [ -L /$alias ] && ln -s "$(readlink /$alias)" $alias
done
for name in usr etc; do
  mount -t overlay overlay -o "lowerdir=/$name,upperdir=../upper/$name,workdir=../work/$name" $name
done
mount --rbind /proc proc
mount --rbind /dev dev
mount --rbind /sys sys
bind() {
  mkdir -p ".$2"
  mount --bind "$1" ".$2"
}
bind "$2/run" "$3"
bind "$2/root" "$4"
bind "$2/etc" "$5"
touch ../mounted
exec sleep infinity`;

/** A host as a person who logs in sees it: commands have its root, network and containerd at the usual paths. */
export class HostSystem {
  readonly node: ContainerdNode;
  readonly #holder: Child;
  readonly #folder: string;

  private constructor(node: ContainerdNode, holder: Child, folder: string) {
    this.node = node;
    this.#holder = holder;
    this.#folder = folder;
  }

  /** @param node its `certs.d` is where the layout has it, and must not be looked for elsewhere */
  static async start(node: ContainerdNode, layout: Layout): Promise<HostSystem> {
    const { directory } = node.host;
    const folder = join(directory, 'system');
    await mkdir(folder);
    const places = [layout.run, layout.content, layout.config];
    const holder = node.host.start('system', {
      command: [
        ...(['unshare', '--mount', '--propagation', 'private', 'sh', '-ec', MOUNT, 'sh'] as const),
        ...[folder, directory, ...places],
      ],
    });
    await waitFor('the host has its root', () => {
      if (!holder.isRunning) throw new Error('it has ended');
      return existsSync(join(folder, 'mounted'));
    });
    return new HostSystem(node, holder, folder);
  }

  /** Runs a command as root of the host, and gives what it printed. */
  execute(...command: readonly [string, ...string[]]): Promise<string> {
    return this.node.host.execute([...this.#enter(), 'env', '-i', `PATH=${PATH}`, ...command]);
  }

  /** Writes a file of the host. */
  async write(path: string, text: string): Promise<void> {
    await writeFile(this.#path(path), text);
  }

  /** The text of a file of the host, if there is one. */
  read(path: string): string | undefined {
    return existsSync(this.#path(path)) ? readFileSync(this.#path(path), 'utf8') : undefined;
  }

  /** Everything that an installation may touch: kind, mode, owner, and content or target, a line each. */
  async snapshot(): Promise<string> {
    const script = `find /etc /usr/local /var -printf '%p %y %m %U:%G %l\\n' | sort
      find /etc /usr/local /var -type f -exec sha256sum {} + | sort -k 2`;
    // containerd changes the content store, so it is left out of the comparison.
    const ours = (line: string): boolean => !/ ?\/var\/\S*\/containerd\/(?!certs\.d)/.test(line);
    return (await this.execute('sh', '-c', script)).split('\n').filter(ours).join('\n');
  }

  /** Starts a command of the host that goes on. */
  start(
    log: string,
    command: readonly string[],
    env: Readonly<Record<string, string>> = {},
  ): Child {
    const variables = Object.entries({ PATH, ...env }).map(([name, value]) => `${name}=${value}`);
    return this.node.host.start(log, {
      command: [...this.#enter(), 'env', '-i', ...variables, ...command],
    });
  }

  /**
   * Starts the service as its unit describes it, with the parts of the sandbox that need no systemd: a read-only root
   * except for `ReadWritePaths` and `StateDirectory`, no capabilities, and no new privileges.
   */
  startService(log: string, unit: Unit): Child {
    const { command, env } = serviceCommand(unit, (path) => this.read(path));
    if (only(unit, 'Service.ProtectSystem') !== 'strict')
      throw new Error('not ProtectSystem=strict');
    if (only(unit, 'Service.CapabilityBoundingSet') !== '') throw new Error('it has capabilities');
    if (only(unit, 'Service.NoNewPrivileges') !== 'yes') throw new Error('it has new privileges');
    const state = `/var/lib/${only(unit, 'Service.StateDirectory')}`;
    const mode = only(unit, 'Service.StateDirectoryMode');
    const writable = [state, ...splitWords(only(unit, 'Service.ReadWritePaths'))];
    const sandbox = `
      cd "$1"
      mkdir -p -m ${mode} ".${state}"
      for path in ${writable.map((path) => path.replace(/^-/, '')).join(' ')}; do
        if [ -e ".$path" ]; then mount --rbind ".$path" ".$path"; fi
      done
      for path in usr etc .; do mount -o remount,bind,ro "$path"; done
      shift
      exec chroot . setpriv --bounding-set=-all --inh-caps=-all --no-new-privs env -i "$@"`;
    const variables = Object.entries({ PATH, ...env }).map(([name, value]) => `${name}=${value}`);
    return this.node.host.start(log, {
      command: [
        ...this.#mounts(),
        ...['unshare', '--mount', '--propagation', 'private', 'sh', '-ec', sandbox, 'sh'],
        ...[join(this.#folder, 'root'), ...variables, ...command],
      ],
    });
  }

  #mounts(): [string, ...string[]] {
    return ['nsenter', `--mount=/proc/${this.#holder.pid}/ns/mnt`];
  }

  #enter(): [string, ...string[]] {
    return [...this.#mounts(), 'chroot', join(this.#folder, 'root')];
  }

  /** A file of the host as the test sees it. */
  #path(path: string): string {
    return join(`/proc/${this.#holder.pid}/root`, this.#folder, 'root', path);
  }
}
