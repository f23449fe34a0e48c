import { agentPorts } from '../agent-ports.ts';
import { urlOf } from '../certs-folder.ts';
import type { Facts } from '../facts.ts';
import { at, isRecord, textAt } from '../json.ts';
import { askPeers, type PeerAnswer } from '../network/peer-answers.ts';
import { failure, ok, skipped, warning, type CheckResult } from '../report.ts';
import type { Check } from '../run-checks.ts';

const GROUP = 'peers';

/** Checks of the peers, and of the way to them. */
export const PEER_CHECKS: readonly Check<Facts>[] = [
  { id: 'peers', group: GROUP, run: peers },
  { id: 'bootstrap-addresses', group: GROUP, run: bootstrapAddresses },
  { id: 'peer-registry', group: GROUP, run: peerRegistry },
  { id: 'own-mirror', group: GROUP, run: ownMirror },
  { id: 'clock-skew', group: GROUP, run: clockSkew },
  { id: 'duplicate-identity', group: GROUP, run: duplicateIdentity },
  { id: 'tag-disagreements', group: GROUP, run: tagDisagreements },
];

async function peers(facts: Facts): Promise<CheckResult> {
  const status = await facts.status();
  const count = at(status, 'directory', 'peers');
  if (typeof count !== 'number') return skipped('the agent does not report its peers');
  if (count > 0) return ok(`${count} peers`);
  const why = textAt(status, 'directory', 'bootstrapError') ?? 'the bootstrap names no other node';
  return warning(
    `no peers: the agent serves its own node alone (${why})`,
    `open TCP ${(await agentPorts(facts)).router} between the nodes, and check --bootstrap-kind with its options: --dns-bootstrap-domain, --static-bootstrap-peers or --http-bootstrap-peer`,
  );
}

async function bootstrapAddresses(facts: Facts): Promise<CheckResult> {
  const status = await facts.status();
  const bootstrap = at(status, 'directory', 'bootstrap');
  const named = at(bootstrap, 'named');
  const unreached = at(bootstrap, 'unreached');
  if (typeof named !== 'number' || !Array.isArray(unreached)) {
    return skipped('the agent does not report its bootstrap');
  }
  if (named === 0) {
    const why = textAt(status, 'directory', 'bootstrapError');
    return skipped(why ?? 'the bootstrap names no node but this one');
  }
  if (unreached.length === 0)
    return ok(`of ${named} addresses of the bootstrap, all that were dialled last answer`);
  const { router } = await agentPorts(facts);
  return warning(
    `${unreached.length} of ${named} addresses that the bootstrap names did not answer in the last round`,
    `are there agents at these addresses, and is TCP ${router} open? nc -zv ADDRESS ${router}`,
    unreached.map(String),
  );
}

async function duplicateIdentity(facts: Facts): Promise<CheckResult> {
  const status = await facts.status();
  const address = textAt(status, 'directory', 'duplicateIdentity');
  if (address === undefined) return ok('no other node was seen with the identity of this one');
  const peerId = textAt(status, 'peerId') ?? 'its peer ID';
  return failure(
    `the node at ${address} has the identity of this one (${peerId}), a copy of private.key: the two do not find each other, and other nodes see one of them only`,
    'restart the agent of the node that was cloned last: it takes a new identity\nor remove private.key from its --data-dir, and restart it',
  );
}

async function tagDisagreements(facts: Facts): Promise<CheckResult> {
  const tags = at(await facts.status(), 'tagDisagreements');
  if (!isRecord(tags)) return skipped('the agent does not compare the holders of tags');
  const names = Object.keys(tags);
  if (names.length === 0) return ok('no holders were seen to disagree about a tag');
  return warning(
    `nodes have different images under ${names.length} tags: which one a pull gets is chance`,
    'a tag that has moved: pull it again on the nodes with the old image, or use digests\nthe nodes of another cluster among the holders: give each cluster a bootstrap of its own',
    names.map((name) => `${name}: ${holdersText(at(tags, name))}`),
  );
}

function holdersText(holders: unknown): string {
  if (!isRecord(holders)) return 'unknown';
  return Object.entries(holders)
    .map(([digest, origins]) => `${digest} at ${Array.isArray(origins) ? origins.join(', ') : '?'}`)
    .join('; ');
}

/** Answers of the peers by the facts of a run, so that two checks share one set of requests. */
const answers = new WeakMap<Facts, Promise<PeerAnswer[]>>();

async function answersOf(facts: Facts): Promise<PeerAnswer[]> {
  let asked = answers.get(facts);
  if (asked === undefined) {
    asked = facts.peers().then(async (all) => await askPeers(all, await facts.identity()));
    answers.set(facts, asked);
  }
  return await asked;
}

async function peerRegistry(facts: Facts): Promise<CheckResult> {
  const all = await answersOf(facts);
  if (all.length === 0) return skipped('no peers to ask');
  const closed = all.flatMap(({ origin, unreachable }) =>
    unreachable === undefined ? [] : [`${origin}: ${unreachable}`],
  );
  if (closed.length === 0) return ok(`the mirrors of ${all.length} peers answer`);
  const { router, registry } = await agentPorts(facts);
  const ports = new Set(
    all.flatMap(({ origin, unreachable }) =>
      unreachable === undefined ? [] : [urlOf(origin)?.port ?? String(registry)],
    ),
  );
  return failure(
    `${closed.length} of ${all.length} peers are in the DHT, but their mirrors cannot be reached: a firewall lets TCP ${router} pass and not the port of the mirror, or they listen on loopback only`,
    `open TCP ${[...ports].join(', ')} (--registry-addr) between the nodes\nnft list ruleset | grep -nE "drop|reject"; iptables-save | grep -E "DROP|REJECT"`,
    closed,
  );
}

async function ownMirror(facts: Facts): Promise<CheckResult> {
  const status = await facts.status();
  const announced = at(status, 'origins');
  if (!Array.isArray(announced)) return skipped('the agent does not report where its mirror is');
  const origins = announced.map(String);
  const remedy =
    'give --registry-addr (:5000) and --router-addr (:5001) an address that the other nodes reach';
  const cost = 'peers neither get content from this node nor follow its downloads';
  if (origins.length === 0)
    return warning(`no address of this mirror is announced: ${cost}`, remedy);
  const self = { peerId: textAt(status, 'peerId') ?? '', origins };
  const [answer] = await askPeers([self], await facts.identity());
  if (answer === undefined) return skipped('the announced address was not asked');
  const { origin, unreachable } = answer;
  return unreachable === undefined
    ? ok(`the mirror answers at ${origin}, which peers are given`)
    : warning(
        `the mirror does not answer at ${origin} (${unreachable}), which peers are given: ${cost}`,
        remedy,
      );
}

/** Differences of clocks from which they are reported, in milliseconds. */
const SKEW = { warning: 30_000, failure: 300_000 };

async function clockSkew(facts: Facts): Promise<CheckResult> {
  const known = (await answersOf(facts)).flatMap(({ origin, aheadMs }) =>
    aheadMs === undefined ? [] : [{ origin, aheadMs }],
  );
  return skewResult(known);
}

/**
 * Compares the clocks of peers with the clock of this node.
 *
 * @param known how far each peer's clock is ahead, in milliseconds
 */
export function skewResult(
  known: readonly { readonly origin: string; readonly aheadMs: number }[],
): CheckResult {
  if (known.length === 0) return skipped('no peer has sent its time');
  const off = known.filter(({ aheadMs }) => Math.abs(aheadMs) > SKEW.warning);
  if (off.length === 0) return ok(`the clocks of ${known.length} peers agree with this one`);
  const whose =
    off.length === known.length
      ? 'the clock of this node differs from those of all peers'
      : `the clocks of ${off.length} of ${known.length} peers differ from this one`;
  const details = off.map(({ origin, aheadMs }) => {
    const seconds = Math.round(Math.abs(aheadMs) / 1000);
    return `${origin}: ${seconds} s ${aheadMs > 0 ? 'ahead' : 'behind'}`;
  });
  const remedy = 'chronyc makestep, or timedatectl set-ntp true, where the clock is wrong';
  const worst = Math.max(...off.map(({ aheadMs }) => Math.abs(aheadMs)));
  return worst > SKEW.failure
    ? failure(
        `${whose}; certificates may count as invalid, and times in logs do not match`,
        remedy,
        details,
      )
    : warning(whose, remedy, details);
}
