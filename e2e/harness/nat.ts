import type { Network, Host } from './namespaces.ts';

const INSIDE = '192.168.77';
/** The network of `namespaces.ts`. */
const OUTSIDE = '10.214.0.0/24';

/**
 * Puts machines behind a NAT. They get addresses to which the machines outside have a route, on which packets of new
 * connections are lost, as at a firewall between two zones. Connections from inside go out under the router's address.
 *
 * @param outside machines that are to have the route
 * @returns counts the packets that were lost so far
 */
export async function putBehindNat(
  network: Network,
  inside: readonly Host[],
  outside: readonly Host[],
): Promise<() => Promise<number>> {
  const router = await network.addHost('nat');
  const gateway = `${INSIDE}.1`;
  await router.execute(['ip', 'address', 'add', `${gateway}/24`, 'dev', 'eth0']);
  await router.execute(['sysctl', '-qw', 'net.ipv4.ip_forward=1']);
  // All machines are on one wire: the router would tell them to use it without it.
  for (const device of ['all', 'eth0'])
    await router.execute(['sysctl', '-qw', `net.ipv4.conf.${device}.send_redirects=0`]);
  const direction = ['-s', `${INSIDE}.0/24`, '-d', OUTSIDE];
  await router.execute(iptables('nat', 'POSTROUTING', [...direction, '-j', 'MASQUERADE']));
  const answers = ['-m', 'conntrack', '--ctstate', 'ESTABLISHED'];
  await router.execute(iptables('filter', 'FORWARD', [...answers, '-j', 'ACCEPT']));
  await router.execute(iptables('filter', 'FORWARD', [...direction, '-j', 'ACCEPT']));
  await router.execute(iptables('filter', 'FORWARD', ['-j', 'DROP']));
  for (const [index, host] of inside.entries()) {
    const address = `${INSIDE}.${index + 2}/24`;
    await host.execute(['ip', 'address', 'flush', 'dev', 'eth0', 'scope', 'global']);
    await host.execute(['ip', 'address', 'add', address, 'dev', 'eth0']);
    await host.execute(['ip', 'route', 'add', 'default', 'via', gateway]);
  }
  const route = ['ip', 'route', 'add', `${INSIDE}.0/24`, 'via', router.address] as const;
  for (const host of outside) await host.execute([...route]);
  return async () => {
    const text = await router.execute(['iptables', '-w', '-nvxL', 'FORWARD']);
    return Number(/^\s*(\d+).* DROP /m.exec(text)?.[1]);
  };
}

function iptables(table: string, chain: string, rule: readonly string[]): [string, ...string[]] {
  return ['iptables', '-w', '-t', table, '-A', chain, ...rule];
}
