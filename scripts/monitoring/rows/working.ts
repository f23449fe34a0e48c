import { of, sum, total, rate, orZero, failures, type PanelRow } from '../queries.ts';

/** Panels of the row "Is it working?". */
export const WORKING: readonly PanelRow[] = [
  {
    title: 'Hit ratio',
    description: 'Requests for content that the node did not have, and that a peer served.',
    kind: 'number',
    unit: 'percentunit',
    queries: [
      {
        expr: `${total('spegel_mirror_requests_total', 'cache="hit"')} / ${total('spegel_mirror_requests_total')}`,
        legend: 'hits',
      },
    ],
  },
  {
    title: 'Bytes not pulled from registries',
    description: 'Content that nodes received from each other.',
    kind: 'number',
    unit: 'bytes',
    queries: [
      { expr: total('peerglass_peer_bytes_total', 'direction="received"'), legend: 'saved' },
    ],
  },
  {
    title: 'Requests that failed',
    description:
      'Answers with a 5xx code, and bodies that broke and that no other peer could continue.',
    kind: 'number',
    unit: 'short',
    queries: [
      {
        expr: orZero(total('http_request_duration_seconds_count', 'code=~"5.."')),
        legend: '5xx',
      },
      { expr: orZero(total('peerglass_resumes_total', 'result="broken"')), legend: 'broken' },
    ],
  },
  {
    title: 'Last answer of a peer',
    description: 'It may be long ago if nothing new was pulled.',
    kind: 'number',
    unit: 's',
    queries: [
      {
        expr: `time() - max(${of('spegel_mirror_last_success_timestamp_seconds')})`,
        legend: 'ago',
      },
    ],
  },
  {
    title: 'Requests by registry',
    description: 'Requests for content that the node did not have.',
    kind: 'graph',
    unit: 'reqps',
    queries: [
      {
        expr: rate('spegel_mirror_requests_total', 'registry, cache'),
        legend: '{{registry}} {{cache}}',
      },
    ],
  },
  {
    title: 'Left to the registries',
    description:
      'no-provider is normal for new images. The other reasons cost traffic that the mirror should save.',
    kind: 'graph',
    unit: 'reqps',
    queries: failures('peerglass_fall_throughs_total', 'reason', 'requests'),
  },
  {
    title: 'Failures between peers',
    description:
      'Failed attempts, and bodies that continued from another peer. Pulls are not affected.',
    kind: 'graph',
    unit: 'reqps',
    queries: [
      ...failures('peerglass_peer_failures_total', 'reason', 'failures'),
      ...failures('peerglass_resumes_total', 'result', 'resumes'),
    ],
  },
  {
    title: 'Shared',
    description: 'Content that the nodes advertise.',
    kind: 'graph',
    unit: 'short',
    queries: [
      { expr: sum('spegel_advertised_images'), legend: 'images' },
      { expr: sum('spegel_advertised_image_tags'), legend: 'tags' },
      { expr: sum('spegel_advertised_image_digests'), legend: 'digests of images' },
      { expr: sum('spegel_advertised_content_digests'), legend: 'digests' },
    ],
  },
];
