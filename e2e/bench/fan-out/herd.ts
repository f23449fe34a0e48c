import { Arbiter } from '../../../agent/fanout/arbiter/arbiter.ts';
import type { DownloadState, Question, Decision } from '../../../agent/fanout/question.ts';
import type { Digest } from '../../../agent/oci/digest.ts';
import { EventQueue } from './event-queue.ts';
import { Flows, HOP_MS } from './flows.ts';
import { quantile } from './fluid.ts';
import type { HerdInit, HerdResult } from './herd-init.ts';
import { CLOSED_MS, HerdNode, SILENT_MS } from './herd-node.ts';
import { seededRandom } from './random.ts';

/** A question and its answer, in milliseconds. */
const QUESTION_MS = 2;
/** From the answer of a parent that takes a follower to its bytes, and until a dead one has refused, in milliseconds. */
const CONNECT_MS = 2;
/** First byte of the upstream registry, in milliseconds. */
const UPSTREAM_MS = 20;
/** A node that ends its followers asks so long after them, in milliseconds. */
const CLOSING_MS = 20;
/** A herd that is not done by then never is: in times of one node alone, and in milliseconds. */
const MAX_TIMES = 40;
const MIN_LIMIT_MS = 60_000;

const DIGEST = `sha256:${'0'.repeat(64)}` as Digest;

/** Runs the arbiter's own code with nodes of the fluid model. */
export class Herd {
  readonly #init: HerdInit;
  readonly #events = new EventQueue();
  readonly #arbiter: Arbiter;
  readonly #nodes: HerdNode[] = [];
  readonly #flows: Flows;
  readonly #byId = new Map<string, HerdNode>();
  readonly #random: () => number;
  readonly #aloneMs: number;
  readonly #seconds = new Map<number, number>();
  readonly #size: number;
  #questions = 0;
  #wanted = 0;
  #answerMs = 0;
  #stalled: HerdNode | undefined;

  constructor(init: HerdInit) {
    this.#init = init;
    this.#random = seededRandom(init.seed ?? 1);
    this.#arbiter = new Arbiter({ ...init.arbiter, now: () => this.#events.now });
    this.#size = init.size ?? 500e6;
    this.#flows = new Flows(this.#nodes, { ...init, size: this.#size });
    this.#aloneMs = this.#size / Math.min(init.upstream, init.link);
    for (let index = 0; index < init.nodes; index += 1) {
      const zone = init.zones === undefined ? '' : `z${index % init.zones}`;
      const arrivedAt = this.#random() * init.spreadMs;
      const isSlow = init.slow !== undefined && this.#random() < init.slow;
      const link = isSlow ? init.link / 10 : init.link;
      const node = new HerdNode(`n${index}`, { zone, arrivedAt, link });
      this.#nodes.push(node);
      this.#byId.set(node.id, node);
      this.#events.at(arrivedAt, () => {
        this.#ask(node);
      });
    }
    if (init.killed !== undefined || init.stalls === true)
      this.#events.at(this.#aloneMs / 2, () => {
        this.#harm();
      });
  }

  run(): HerdResult {
    const limit = Math.max(this.#aloneMs * MAX_TIMES, MIN_LIMIT_MS);
    let now = 0;
    while (
      now < limit &&
      this.#nodes.some((node) => node.isAlive && node.doing !== 'done' && node !== this.#stalled)
    ) {
      now += HOP_MS;
      this.#events.runUntil(now);
      for (const node of this.#flows.step(now, this.#stalled)) this.#finish(node, now);
      for (const node of this.#nodes) this.#watch(node, now);
    }
    return this.#result(now);
  }

  #result(now: number): HerdResult {
    // A slow node needs its time by itself; it is the others that it must not slow down.
    const alive = this.#nodes.filter(
      (node) => node.isAlive && node.link === this.#init.link && node !== this.#stalled,
    );
    const times = alive.map(({ doneAt, arrivedAt }) => (doneAt - arrivedAt) / this.#aloneMs);
    return {
      last: Math.max(...times),
      p50: quantile(times, 0.5),
      p99: quantile(times, 0.99),
      all: Math.max(...alive.map(({ doneAt }) => doneAt)) / this.#aloneMs,
      depth: this.#flows.depth,
      peakQuestions: Math.max(...this.#seconds.values()),
      meanQuestions: (this.#questions / Math.max(1_000, now)) * 1_000,
      asked: this.#wanted / this.#nodes.length,
      answerUs: (this.#answerMs / this.#questions) * 1_000,
      images: this.#flows.upstreamBytes / this.#size,
      crossed: this.#flows.crossedBytes / Math.max(1, this.#flows.peerBytes),
      unfinished: alive.filter(({ doing }) => doing !== 'done').length,
    };
  }

  #finish(node: HerdNode, now: number): void {
    node.doneAt = now;
    this.#leave(node);
    node.doing = 'done';
    this.#report(node, 'held');
  }

  #watch(node: HerdNode, now: number): void {
    const ended = node.watch(now);
    if (ended !== undefined) this.#end(ended, now);
    if (node.doing !== 'follows' && node.doing !== 'peer') return;
    if (now - node.grewAt >= SILENT_MS) this.#lose(node, now);
  }

  /** A parent ends a follower. One that was ended twice is slow itself: it ends its own followers, which go elsewhere first. */
  #end(node: HerdNode, now: number): void {
    const isSlow = now - node.endedAt < CLOSED_MS;
    node.endedAt = now;
    if (!isSlow) {
      this.#lose(node, now);
      return;
    }
    node.closedUntil = now + CLOSED_MS;
    for (const follower of [...node.followers]) this.#lose(follower, now);
    this.#lose(node, now, CLOSING_MS);
  }

  /** A node receives nothing from its parent any more, and asks again. */
  #lose(node: HerdNode, now: number, afterMs = 0): void {
    const { parent } = node;
    if (parent === undefined) return;
    node.remember(parent.id);
    this.#leave(node);
    node.doing = 'asks';
    this.#events.at(now + afterMs, () => {
      this.#ask(node);
    });
  }

  /** Ends what the node receives. A parent that has fewer followers says so at once. */
  #leave(node: HerdNode): void {
    const { parent } = node;
    node.epoch += 1;
    node.parent = undefined;
    if (parent === undefined) return;
    const index = parent.peers.indexOf(node);
    if (index >= 0) parent.peers.splice(index, 1);
    const followed = parent.followers.length;
    parent.release(node);
    if (parent.followers.length < followed) this.#reportNow(parent);
  }

  #harm(): void {
    const { killed = 0, stalls = false } = this.#init;
    if (stalls) this.#stalled = this.#nodes.find(({ doing }) => doing === 'fetches');
    const dying = this.#nodes.filter(() => this.#random() < killed);
    for (const node of dying) {
      this.#leave(node);
      node.doing = 'dead';
    }
    for (const node of dying) {
      for (const taker of [...node.followers, ...node.peers]) {
        node.release(taker);
        taker.parent = undefined;
        taker.epoch += 1;
        if (!taker.isAlive) continue;
        taker.remember(node.id);
        taker.doing = 'asks';
        this.#events.at(this.#events.now + HOP_MS, () => {
          this.#ask(taker);
        });
      }
      node.peers.length = 0;
    }
  }

  #ask(node: HerdNode): void {
    if (node.doing !== 'asks') return;
    const { epoch } = node;
    this.#wanted += 1;
    this.#send(node, 'wants', (answer) => {
      if (node.doing === 'asks' && node.epoch === epoch) this.#obey(node, answer);
    });
  }

  #obey(node: HerdNode, answer: Decision): void {
    const { now } = this.#events;
    node.epoch += 1;
    if (answer.kind === 'fetch' || answer.kind === 'alone') {
      node.doing = answer.kind === 'fetch' ? 'fetches' : 'apart';
      node.flowsAt = now + UPSTREAM_MS;
      if (answer.kind === 'fetch') this.#reportIn(node, answer.renewMs);
      return;
    }
    if (answer.kind === 'go-on') return;
    const chosen =
      answer.kind === 'follow'
        ? answer.parent
        : answer.holders[Math.floor(this.#random() * answer.holders.length)];
    const parent = this.#byId.get(chosen?.peerId ?? '');
    const { epoch } = node;
    this.#events.at(now + CONNECT_MS, () => {
      if (node.doing !== 'asks' || node.epoch !== epoch || parent === undefined) return;
      if (!this.#connect(node, parent, answer.kind === 'held')) {
        node.remember(parent.id);
        this.#ask(node);
      } else if (answer.kind === 'follow') this.#reportIn(node, answer.renewMs);
    });
  }

  #connect(node: HerdNode, parent: HerdNode, isHolder: boolean): boolean {
    const { now } = this.#events;
    for (let at: HerdNode | undefined = parent; at !== undefined; at = at.parent)
      if (at === node) throw new Error(`${node.id} is to follow ${parent.id}, which follows it`);
    // A parent that has just finished serves it as a holder.
    if (isHolder || parent.doing === 'done') {
      if (parent.doing !== 'done') return false;
      parent.peers.push(node);
    } else if (!parent.admit(node, now)) return false;
    node.doing = isHolder ? 'peer' : 'follows';
    node.parent = parent;
    node.grewAt = now;
    return true;
  }

  #reportIn(node: HerdNode, renewMs: number): void {
    const { epoch } = node;
    this.#events.at(this.#events.now + renewMs, () => {
      if (node.epoch === epoch) this.#reportNow(node);
    });
  }

  #reportNow(node: HerdNode): void {
    const state = node.doing === 'fetches' ? 'fetching' : 'following';
    if (node.doing !== 'fetches' && node.doing !== 'follows') return;
    this.#report(node, state);
  }

  #report(node: HerdNode, state: DownloadState): void {
    const { epoch } = node;
    this.#send(node, state, (answer) => {
      if (answer.kind === 'go-on' && node.epoch === epoch) this.#reportIn(node, answer.renewMs);
    });
  }

  /** A question on its way to the arbiter, and the answer on its way back. */
  #send(node: HerdNode, state: DownloadState, take: (answer: Decision) => void): void {
    const sent = this.#events.now;
    const question: Question = {
      digest: DIGEST,
      state,
      offset: Math.floor(node.offset),
      ...((node.offset > 0 || this.#init.isSizeUnknown !== true) && { size: this.#size }),
      ...(node.parent !== undefined && { parent: node.parent.id }),
      failed: node.failed,
      canFetch: true,
      children: node.followers.length,
      isRoomy: node.isRoomy(sent),
      zone: node.zone,
    };
    this.#events.at(sent + QUESTION_MS / 2, () => {
      const second = Math.floor(this.#events.now / 1_000);
      this.#questions += 1;
      this.#seconds.set(second, (this.#seconds.get(second) ?? 0) + 1);
      const begin = performance.now();
      const answer = this.#arbiter.answer({ peerId: node.id, origins: [] }, question);
      this.#answerMs += performance.now() - begin;
      this.#events.at(sent + QUESTION_MS, () => {
        if (node.isAlive) take(answer);
      });
    });
  }
}
