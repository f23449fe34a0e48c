/** From a millisecond, on an idle machine, to the bound for a question. */
const QUESTION_SECONDS = [0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.15, 0.3];

/** The rows of the download of fresh content by one node for all; see `METRICS`. */
export const FAN_OUT_METRICS = {
  peerglass_fan_out_decisions_total: {
    type: 'counter',
    help: 'Answers to the question of this node who goes upstream for content that no node holds.',
    labels: {
      decision: {
        fetch: 'this node goes upstream',
        follow: 'it receives the content from a node that receives it itself',
        held: 'other nodes hold it by now',
        alone:
          'each node goes upstream for itself: no member could be asked, or the registry refuses',
      },
    },
  },
  peerglass_fan_out_question_seconds: {
    type: 'histogram',
    help: 'Time until such a question was answered.',
    buckets: QUESTION_SECONDS,
  },
  peerglass_fan_out_waits_total: {
    type: 'counter',
    help: 'Requests that followed other nodes, by how that ended.',
    labels: {
      outcome: {
        served: 'the content was there, or has begun to arrive',
        upstream: 'no node served it, and this node went upstream',
      },
    },
  },
  peerglass_fan_out_bytes_total: {
    type: 'counter',
    help: 'Bytes of content that several nodes want at once.',
    labels: {
      registry: 'host of the registry; at most 200 different ones, others are `other`',
      source: {
        upstream: 'fetched from the registry by this node for all',
        peers:
          'received from other nodes while these received it: what would have come from the registry',
      },
    },
  },
  peerglass_fan_out_downloads: {
    type: 'gauge',
    help: 'Downloads of this node that others may follow.',
    labels: { state: { fetching: 'from the registry', following: 'from another node' } },
  },
  peerglass_fan_out_followers: {
    type: 'gauge',
    help: 'Bodies that are being sent to other nodes while this node receives them.',
  },
} as const;
