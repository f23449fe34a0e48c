import { writeFile } from 'node:fs/promises';
import { join } from 'node:path';

import type { KubePod } from './kube-pod.ts';
import type { Machine } from './machine.ts';
import type { Service } from './service.ts';

/** Addresses of Services. */
const SERVICE_NETWORK = '10.96.0';
const CHAIN = 'SERVICES';
/** Marks packets that the node forwards under its own address, so that the answers come back through it. */
const MARK = '0x4000/0x4000';

/** The address of the n-th Service of a cluster. */
export function serviceAddress(index: number): string {
  return `${SERVICE_NETWORK}.${index + 1}`;
}

/** What kube-proxy does on a node: addresses and node ports of Services lead to pods, by iptables. */
export class ServiceProxy {
  readonly #machine: Machine;
  readonly #file: string;
  #applied = '';

  private constructor(machine: Machine) {
    this.#machine = machine;
    this.#file = join(machine.containerd.host.directory, 'services.rules');
  }

  static async start(machine: Machine): Promise<ServiceProxy> {
    const { host } = machine.containerd;
    const nat = ['iptables', '-w', '-t', 'nat'] as const;
    await host.execute([...nat, '-N', CHAIN]);
    for (const chain of ['PREROUTING', 'OUTPUT'])
      await host.execute([...nat, '-A', chain, '-j', CHAIN]);
    const marked = ['-m', 'mark', '--mark', MARK, '-j', 'MASQUERADE'];
    await host.execute([...nat, '-A', 'POSTROUTING', ...marked]);
    // Nothing is there; but a packet needs a way before iptables gives it another address.
    await host.execute(['ip', 'route', 'add', `${SERVICE_NETWORK}.0/24`, 'dev', 'eth0']);
    return new ServiceProxy(machine);
  }

  /** What leads where from now on. */
  async serve(services: Iterable<Service>, pods: readonly KubePod[]): Promise<void> {
    const rules = [...services].flatMap((service) => rulesOf(service, this.#machine, pods));
    const text = ['*nat', `:${CHAIN} - [0:0]`, ...rules, 'COMMIT', ''].join('\n');
    if (text === this.#applied) return;
    await writeFile(this.#file, text);
    await this.#machine.containerd.host.execute([
      'iptables-restore',
      '-w',
      '--noflush',
      this.#file,
    ]);
    this.#applied = text;
  }
}

function rulesOf(service: Service, machine: Machine, pods: readonly KubePod[]): string[] {
  const { address, manifest } = service;
  if (address === undefined) return [];
  return manifest.spec.ports.flatMap(({ port, nodePort, targetPort }) => {
    const behindAddress = service.endpointsFrom(machine, pods, 'address');
    const rules = lead(`-d ${address}/32 -p tcp --dport ${port}`, behindAddress, targetPort);
    if (nodePort === undefined) return rules;
    const behindPort = service.endpointsFrom(machine, pods, 'node port');
    const local = `-m addrtype --dst-type LOCAL -p tcp --dport ${nodePort}`;
    return [...rules, ...lead(local, behindPort, targetPort)];
  });
}

/** Rules that give what matches to one of the pods, each as likely as the others. */
function lead(match: string, pods: readonly KubePod[], targetPort: number | string): string[] {
  if (pods.length === 0) return [];
  const targets = pods.map((pod, index) => {
    const left = pods.length - index;
    const chance =
      left === 1 ? '' : ` -m statistic --mode random --probability ${(1 / left).toFixed(6)}`;
    const to = `${pod.address}:${portNumber(pod, targetPort)}`;
    return `-A ${CHAIN} ${match}${chance} -j DNAT --to-destination ${to}`;
  });
  return [`-A ${CHAIN} ${match} -j MARK --set-xmark ${MARK}`, ...targets];
}

function portNumber({ init }: KubePod, targetPort: number | string): number {
  if (typeof targetPort === 'number') return targetPort;
  const ports = init.spec.containers.flatMap((container) => container.ports ?? []);
  const found = ports.find(({ name }) => name === targetPort);
  if (found === undefined) throw new Error(`${init.name} has no port ${targetPort}`);
  return found.containerPort;
}
