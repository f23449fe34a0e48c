import { option } from './option.ts';
import { VALUE } from './values.ts';

/** Options of who may connect with this node at the port of `--router-addr`. */
export const MEMBERSHIP_OPTIONS = {
  'swarm-key-file': option({
    kind: VALUE.text,
    fallback: '',
    summary: 'file with the key that all nodes share',
    details:
      'A swarm key in the form of libp2p (`peerglass swarm-key` prints one), or a passphrase of 32 characters at least. Nodes that do not have it cannot connect. The file may have up to four keys, one after another: nodes are dialled with the first, and accepted with each. It is read again every ten seconds, so that a key is changed without a restart; docs/MEMBERSHIP.md has the steps.',
    spegel: false,
  }),
  'refused-networks': option({
    kind: VALUE.networks,
    fallback: '',
    summary: 'networks in which there are no nodes',
    details:
      'Peers name addresses of nodes. Those in these networks are not connected with, so that no peer has this node ask the services of the cluster. Loopback, link-local, multicast and the metadata services of clouds are refused in any case, and in a pod the API server with the /24 (IPv6: /112) around it. A network that this host is in is not refused; a single address is.',
    spegel: false,
  }),
  open: option({
    kind: VALUE.boolean,
    fallback: 'false',
    summary: 'let nodes without a key connect',
    details:
      'Each host that reaches the port can then advertise images under any name, and read the names of others. Nodes of Spegel have no key, so a cluster needs this while it has some. With `--swarm-key-file` as well, this node connects both with nodes that have the key and with nodes that have none: for the time in which a cluster gets a key.',
    spegel: false,
    env: 'PEERGLASS_OPEN',
  }),
} as const;
