import { option } from './option.ts';
import { VALUE, choice } from './values.ts';

/** Options of content routing: how nodes find each other, and the providers of content. */
export const ROUTING_OPTIONS = {
  'bootstrap-kind': option({
    kind: choice('dns', 'http', 'static'),
    fallback: 'static',
    summary: 'how the first peers are found',
    spegel: true,
  }),
  'dns-bootstrap-domain': option({
    kind: VALUE.text,
    fallback: '',
    summary: 'dns: name of the headless Service',
    details: 'All its A and AAAA records are dialled, at the port of `--router-addr`.',
    spegel: true,
  }),
  'http-bootstrap-addr': option({
    kind: VALUE.optionalAddress,
    fallback: '',
    summary: 'http: where this node serves /id',
    spegel: true,
  }),
  'http-bootstrap-peer': option({
    kind: VALUE.url,
    fallback: '',
    summary: 'http: base URL of a peer that serves /id',
    spegel: true,
  }),
  'static-bootstrap-peers': option({
    kind: VALUE.peers,
    fallback: '',
    summary: 'static: addresses of peers',
    details:
      'As `IP`, `IP:PORT`, `[IPV6]:PORT`, `NAME:PORT` or multiaddr, with or without `/p2p/ID`. An IP address without a port is dialled at 5001. Empty: this node waits to be dialled.',
    spegel: true,
  }),
  'record-refresh': option({
    kind: VALUE.interval,
    fallback: '15m',
    summary: 'interval of providing keys again',
    details:
      'The cost of the DHT is in proportion to its frequency. Changes do not wait for it: new content is provided at once, deleted content is withdrawn at once, and a node that joins gets the records that it is to store.',
    spegel: false,
  }),
  'record-validity': option({
    kind: VALUE.interval,
    fallback: '19m',
    summary: 'lifetime of provider records',
    details:
      'Counted from the last time that a key was provided. It must be longer than `--record-refresh`, by as much as providing may be late. It ends the records of nodes that disappear without withdrawing them.',
    spegel: false,
  }),
  'max-connections': option({
    kind: VALUE.count,
    fallback: '150',
    summary: 'connections kept with other nodes',
    details:
      'Up to it a node connects with all members that it knows, and look-ups need no new connection. With more it ends some, also those that others have made, and they are made again for the next question. The 32 members closest to it in the key space are connected in any case, so a lower number than 32 means those only. With more members than this a network is a large one: a node does not know all others, and is connected with the 64 closest in any case. A connection takes some 0.16 MiB on both sides.',
    spegel: false,
  }),
  'mirror-resolve-timeout': option({
    kind: VALUE.duration,
    fallback: '20ms',
    summary: 'first wait for the next provider',
    details:
      'How long a request waits for the next provider of its content. While the look-up is running, a wait without a provider is followed by one three times as long, up to `--mirror-resolve-retries` times: 20, 60, 180 and 540 ms by default. The longer waits are for a busy cluster whose answers are late. When all closest peers have answered, the request ends at once. Raise it on slow links between nodes.',
    spegel: true,
  }),
  'mirror-resolve-retries': option({
    kind: VALUE.count,
    fallback: '3',
    summary: 'further waits for the next provider',
    details:
      'Each is three times as long as the one before, see `--mirror-resolve-timeout`. Peers that fail do not count: a request ends after 32 of them that answered wrongly or broke off.',
    spegel: true,
  }),
} as const;
