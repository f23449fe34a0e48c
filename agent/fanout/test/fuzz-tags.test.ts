import assert from 'node:assert/strict';
import { join } from 'node:path';
import { after, before, describe } from 'node:test';

import type { CheckedTag, NamedManifest } from '../../content/registry-tags.ts';
import type { Descriptor } from '../../oci/descriptor.ts';
import { parseDigest } from '../../oci/digest.ts';
import { MAX_MANIFEST_BYTES } from '../../oci/manifest.ts';
import { isManifestType, MEDIA_TYPE } from '../../oci/media-type.ts';
import { FrameError } from '../../routing/dht/frames.ts';
import { MemoryNetwork, MemoryRouter } from '../../routing/memory-router.ts';
import { fuzz, fuzzAsync } from '../../testing/fuzz/fuzz.ts';
import { SharedTagChecks } from '../tags/shared-tag-checks.ts';
import { TagCoordinators } from '../tags/tag-coordinators.ts';
import {
  decodeTagDecision,
  decodeTagQuestion,
  encodeTagDecision,
  encodeTagQuestion,
  MAX_TAG_MESSAGE_BYTES,
} from '../tags/tag-messages.ts';
import { TAG_CHECKS_PROTOCOL, type TagDecision, type TagQuestion } from '../tags/tag-question.ts';
import { TagRoundAnswers } from '../tags/tag-round-answers.ts';
import { TagRounds } from '../tags/tag-rounds.ts';

const CORPORA = join(import.meta.dirname, 'corpus');
const { signal } = new AbortController();
const digest = parseDigest(`sha256:${'0f'.repeat(32)}`);
const other = parseDigest(`sha512:${'a7'.repeat(64)}`);
assert.ok(digest && other);
const GENUINE: NamedManifest = {
  descriptor: { mediaType: MEDIA_TYPE.ociManifest, digest, size: 500 },
  origin: 'https://registry.example',
};
const manifest: Descriptor = { mediaType: MEDIA_TYPE.dockerList, digest: other, size: 4_000_000 };
const TAG = '0f'.repeat(32);
const WANTS: TagQuestion = { tag: TAG, state: 'wants', id: 2 ** 32 - 1, canAsk: true };
const QUESTIONS = [
  WANTS,
  { ...WANTS, state: 'knows' as const, manifest },
  ...(['asks', 'failed', 'refused'] as const).map((state) => ({ ...WANTS, state, id: 0 })),
].map(encodeTagQuestion);
const ANSWERS = (
  [
    { kind: 'ask', againMs: 130 },
    { kind: 'wait', againMs: 25 },
    { kind: 'known', manifest },
    { kind: 'alone' },
  ] satisfies TagDecision[]
).map(encodeTagDecision);
const WORDS = [TAG, digest, MEDIA_TYPE.ociIndex, MEDIA_TYPE.dockerManifest];

function assertManifest({ digest: named, mediaType, size }: Descriptor): void {
  assert.equal(parseDigest(named), named);
  assert.ok(isManifestType(mediaType));
  assert.ok(size > 0 && size <= MAX_MANIFEST_BYTES);
}

function assertDecision(decision: TagDecision): void {
  if ('againMs' in decision) assert.ok(decision.againMs >= 0 && Number.isFinite(decision.againMs));
  if (decision.kind === 'known') assertManifest(decision.manifest);
}

describe('what nodes send each other about tags', () => {
  fuzz(CORPORA, {
    name: 'questions about tags',
    seeds: QUESTIONS,
    words: WORDS,
    errors: [FrameError],
    parse: decodeTagQuestion,
    check(question) {
      assert.match(question.tag, /^[0-9a-f]{64}$/);
      assert.ok(question.id >= 0 && question.id < 2 ** 32);
      assert.equal(question.manifest !== undefined, question.state === 'knows');
      if (question.manifest !== undefined) assertManifest(question.manifest);
      const bytes = encodeTagQuestion(question);
      assert.ok(bytes.length <= MAX_TAG_MESSAGE_BYTES);
      assert.deepEqual(decodeTagQuestion(bytes), question);
    },
  });

  fuzz(CORPORA, {
    name: 'answers about tags',
    seeds: ANSWERS,
    words: WORDS,
    errors: [FrameError],
    parse: decodeTagDecision,
    check(decision) {
      assertDecision(decision);
      const bytes = encodeTagDecision(decision);
      assert.ok(bytes.length <= MAX_TAG_MESSAGE_BYTES);
      assert.deepEqual(decodeTagDecision(bytes), decision);
    },
  });

  const rounds = new TagRounds();
  const answers = new TagRoundAnswers(rounds);
  let member = 0;
  fuzz(CORPORA, {
    name: 'a coordinator of tags',
    seeds: QUESTIONS,
    words: WORDS,
    errors: [FrameError],
    // Two members, so that some questions are about the lease of the other one.
    parse: (input) => answers.answer(`m${(member += 1) % 2}`, input),
    check(answer) {
      assert.ok(answer.length <= MAX_TAG_MESSAGE_BYTES);
      assertDecision(decodeTagDecision(answer));
    },
  });

  let said: Uint8Array = new Uint8Array(0);
  const network = new MemoryNetwork();
  const own = new TagRounds();
  const router = new MemoryRouter(
    { network, questions: new TagRoundAnswers(own) },
    { peerId: 'asker', origins: [] },
  );
  const liar = { protocol: TAG_CHECKS_PROTOCOL, maxBytes: 512, answer: () => said };
  network.join({ peerId: 'liar', origins: [], protocols: [TAG_CHECKS_PROTOCOL] }, [liar]);
  const coordinators = new TagCoordinators({ router, rounds: own });
  let name: string;
  before(async () => {
    for (let at = 0; ; at += 1) {
      name = `registry.example/app:${at}`;
      const [first] = await router.closest(name, 1);
      if (first?.peerId === 'liar') return;
    }
  });
  fuzzAsync(CORPORA, {
    name: 'a node that asks a coordinator of tags',
    seeds: ANSWERS,
    words: WORDS,
    // It takes no answer that it cannot read for one, and does not fail.
    errors: [],
    async parse(input) {
      said = input;
      const asked = await coordinators.ask(name, WANTS, signal);
      assert.ok(asked !== undefined, 'it is the second one itself');
      assertDecision(asked.decision);
      return asked.decision;
    },
  });

  let told = 0;
  fuzzAsync(CORPORA, {
    name: 'a resolve of a tag',
    seeds: ANSWERS,
    words: WORDS,
    // It fails for the registry only.
    errors: [],
    // Some wait for all of their time.
    iterations: 120,
    async parse(input) {
      said = input;
      const checks = new SharedTagChecks({ coordinators }, { waitMs: 25 });
      const ask = (): Promise<NamedManifest> => Promise.resolve(GENUINE);
      const init = { canAsk: true, ask, isFinal: () => true };
      const { isTold, ...checked }: CheckedTag = await checks.check(name, init, signal);
      if (isTold) assertManifest(checked.descriptor);
      else assert.deepEqual(checked, GENUINE);
      told += Number(isTold);
      return checked;
    },
  });
  after(() => {
    assert.ok(told > 0, 'the member was asked');
  });
});
