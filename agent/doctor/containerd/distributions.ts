import { existsSync } from 'node:fs';

/** Where a distribution has containerd's socket and its folder of hosts.toml files. */
interface Distribution {
  readonly socket: string;
  readonly certs: string;
}

/** The first whose socket is there is taken; k3s and RKE2 share a socket. */
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

/** The sockets that are looked for, in their order. */
export const KNOWN_SOCKETS: readonly string[] = [
  ...new Set(DISTRIBUTIONS.map(({ socket }) => socket)),
];

/** The socket that is there; containerd's own place when none is. */
export function findSocket(): string {
  return DISTRIBUTIONS.find(({ socket }) => existsSync(socket))?.socket ?? FIRST.socket;
}

/** The folder that belongs to the socket. */
export function certsFolderOf(socketPath: string): string {
  const places = DISTRIBUTIONS.filter(({ socket }) => socket === socketPath);
  return (places.find(({ certs }) => existsSync(certs)) ?? places[0] ?? FIRST).certs;
}
