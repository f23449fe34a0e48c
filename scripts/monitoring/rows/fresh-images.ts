import { of, orZero, quantiles, rate, sum, type PanelRow } from '../queries.ts';

/** Panels of the row "What does a rollout cost upstream?". */
export const FRESH_IMAGES: readonly PanelRow[] = [
  {
    title: 'Fresh content',
    description:
      'Bytes of content that no node held: those that one node fetched from the registry for all, and those that the others received from each other meanwhile, which is what was saved.',
    kind: 'graph',
    unit: 'Bps',
    queries: [
      { expr: orZero(rate('peerglass_fan_out_bytes_total', 'source')), legend: '{{source}}' },
      { expr: rate('peerglass_fan_out_bytes_total', 'registry'), legend: '{{registry}}' },
    ],
  },
  {
    title: 'Who goes upstream',
    description:
      'Answers to the questions of nodes, and how the requests that followed others ended.',
    kind: 'graph',
    unit: 'short',
    queries: [
      {
        expr: orZero(rate('peerglass_fan_out_decisions_total', 'decision')),
        legend: '{{decision}}',
      },
      { expr: orZero(rate('peerglass_fan_out_waits_total', 'outcome')), legend: '{{outcome}}' },
    ],
  },
  {
    title: 'Downloads under way',
    description:
      'What nodes receive from registries and from each other, and how many follow them.',
    kind: 'graph',
    unit: 'short',
    queries: [
      {
        expr: `sum by (state) (${of('peerglass_fan_out_downloads')})`,
        legend: '{{state}}',
      },
      { expr: sum('peerglass_fan_out_followers'), legend: 'followers' },
    ],
  },
  {
    title: 'Fetched by agents',
    description:
      'Bytes of content that agents received from registries themselves, with --upstream.',
    kind: 'graph',
    unit: 'Bps',
    queries: [
      { expr: orZero(rate('peerglass_upstream_bytes_total')), legend: 'all' },
      { expr: rate('peerglass_upstream_bytes_total', 'registry'), legend: '{{registry}}' },
    ],
  },
  {
    title: 'Requests of agents to registries',
    description:
      'With --upstream: what agents ask of registries, what failed, who has said what tags mean, and how many pulls the registries still allow a node.',
    kind: 'graph',
    unit: 'short',
    queries: [
      { expr: orZero(rate('peerglass_upstream_requests_total', 'kind')), legend: '{{kind}}' },
      { expr: rate('peerglass_upstream_failures_total', 'reason'), legend: 'failed: {{reason}}' },
      { expr: rate('peerglass_upstream_tags_total', 'answer'), legend: 'tags: {{answer}}' },
      {
        expr: rate('peerglass_upstream_widened_total', 'outcome'),
        legend: 'several connections: {{outcome}}',
      },
      {
        expr: `min by (registry) (${of('peerglass_upstream_pulls_remaining')})`,
        legend: 'pulls left: {{registry}}',
      },
    ],
  },
  {
    title: 'Question who goes upstream',
    description: 'Time until it was answered. After 150 ms a node goes upstream itself.',
    kind: 'graph',
    unit: 's',
    queries: quantiles('peerglass_fan_out_question_seconds', 'question'),
  },
];
