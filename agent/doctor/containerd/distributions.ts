import { existsSync } from 'node:fs';

/** Paths of a distribution: containerd's socket and the folder of hosts.toml files. */
interface Distribution {
  readonly socket: string;
  readonly certs: string;
}

/** The first whose socket exists is used. k3s and RKE2 have the same socket. */
const DISTRIBUTIONS: readonly Distribution[] = [
  { socket: '/run/containerd/containerd.sock', certs: '/etc/containerd/certs.d' },
  {
    socket: '/run/k3s/containerd/containerd.sock',
    certs: '/var/lib/rancher/k3s/agent/etc/containerd/certs.d',
  },
  {
    socket: '/run/k3s/containerd/containerd.sock',
    certs: '/var/lib/rancher/rke2/agent/etc/containerd/certs.d',
  },
  { socket: '/run/k0s/containerd.sock', certs: '/etc/k0s/certs.d' },
  {
    socket: '/var/snap/microk8s/common/run/containerd.sock',
    certs: '/var/snap/microk8s/current/args/certs.d',
  },
];

const [FIRST] = DISTRIBUTIONS as readonly [Distribution, ...Distribution[]];

/** Returns the first socket that exists, or containerd's default. */
export function findSocket(): string {
  return DISTRIBUTIONS.find(({ socket }) => existsSync(socket))?.socket ?? FIRST.socket;
}

/** Returns the folder of hosts.toml files of the distribution with this socket. */
export function certsFolderOf(socketPath: string): string {
  const candidates = DISTRIBUTIONS.filter(({ socket }) => socket === socketPath);
  return (candidates.find(({ certs }) => existsSync(certs)) ?? candidates[0] ?? FIRST).certs;
}
