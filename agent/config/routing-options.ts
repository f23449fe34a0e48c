import { option } from './option.ts';
import { VALUE, choice } from './values.ts';

/** How nodes find each other, and who has what. */
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
    kind: VALUE.multiaddrs,
    fallback: '',
    summary: 'static: addresses of peers',
    details: 'With or without `/p2p/ID`. Empty: this node waits to be dialled.',
    spegel: true,
  }),
  'record-refresh': option({
    kind: VALUE.interval,
    fallback: '15m',
    summary: 'how often records are placed anew',
    details:
      'The cost of the directory is in proportion to it. Changes do not wait for it: what is new is placed and what is gone is withdrawn at once, and a node that joins is given the records it is to keep.',
    spegel: false,
  }),
  'record-validity': option({
    kind: VALUE.interval,
    fallback: '19m',
    summary: 'how long records are believed',
    details:
      'After they were last placed; must be longer than `--record-refresh`, by as much as a refresh may be late. It is what ends the records of nodes that went without a word.',
    spegel: false,
  }),
  'mirror-resolve-timeout': option({
    kind: VALUE.duration,
    fallback: '20ms',
    summary: 'how long the directory may take',
    details:
      'The first wait for the next provider of a content. A wait that ends without one is followed by one three times as long, `--mirror-resolve-retries` times while the directory is still asking: 20, 60, 180 and 540 ms by default, for a cluster that is so busy that its answers are late. When everybody responsible has answered the miss is told at once. Raise it on slow links between nodes.',
    spegel: true,
  }),
  'mirror-resolve-retries': option({
    kind: VALUE.count,
    fallback: '3',
    summary: 'waits and failed peers to go on after',
    details: 'Providers that turn out not to hold the content are not counted.',
    spegel: true,
  }),
} as const;
